/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary. Included before everything in the image: all symbols are ours, so their addresses are taken relative to
   RIP and never through a global offset table, whose entries could not be relaxed at the image's high address. */
#ifndef SOJOURN_VISIBILITY_H
#define SOJOURN_VISIBILITY_H

#pragma GCC visibility push(hidden)

#endif
