/* SIGINT, SIGTERM and SIGHUP ask the program to stop: they set a flag that every long call looks at. The second one ends it at
 * once. Installed explicitly, so they work as process 1 of a container too, where the kernel knows no default action. */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

extern volatile int signals_stop; /* the signal's number once one has come; 0 before; threads read it with __atomic */

void signals_install(void);

/* Back to the defaults: for a child between fork and exec. */
void signals_reset(void);

#endif
