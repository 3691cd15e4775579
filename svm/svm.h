/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. What the AMD backend offers beyond struct backend.

   The global interrupt flag (APM 15.17 "Global Interrupt Flag, STGI and CLGI Instructions"):
     on()   ends with GIF=0. From here NMIs stay pending in the CPU until the next VMRUN, which they end (EXIT_NMI).
     run()  after an EXIT_NMI opens GIF for three instructions: the host's own NMI handler takes that NMI and its IRET
            unblocks the next one. The count the handler added to host_nmi is taken off again, because EXIT_NMI
            reports it.
     off()  opens GIF, then clears EFER.SVME, and so ends with GIF=1 (STGI is undefined once SVME is clear, and GIF=0
            without SVM is undefined). An NMI that was pending is taken by the host's handler inside off(). On the leave
            path call it with IF=0 and with NMIs blocked (inside the self-NMI's handler), or take the self-NMI after it.
 */
#ifndef SOJOURN_SVM_SVM_H
#define SOJOURN_SVM_SVM_H

#include "backend.h"

#endif
