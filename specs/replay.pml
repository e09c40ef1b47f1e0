/* What the drivers of the models have in common: the points that processes passed, in order. See specs/replay.py.

   A driver takes steps of its model only, each in an atomic block with what the recording says of it; what can't be
   seen is free. A block that finds the recording to say otherwise stops in its middle, which ends that run. If some
   run matches all of the recording, the promise `is_impossible` is broken. */

#include "recording.pml" /* generated: the points by name, sizes, and lists */
#define DRIVEN

hidden byte is_impossible;
hidden byte passed[POINTS + 1] = PASSED;
hidden byte passed_by[POINTS + 1] = PASSED_BY;
byte points; /* matched so far */

#define NEXT(me, point) (points < POINTS && passed_by[points] == me && passed[points] == point)

inline pass() { points++ }
