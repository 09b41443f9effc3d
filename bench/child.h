/* The parts that this program plays when it is started again as the second program of a bench. Main
 * thread. */
#ifndef RINGSOCK_BENCH_CHILD_H
#define RINGSOCK_BENCH_CHILD_H

int child_echo_kernel(int argc, char **argv);        /* bench_kernel_*.c */
int child_echo_client(int argc, char **argv);        /* bench_client.c */
int child_stream_kernel(int argc, char **argv);      /* bench_kernel_stream_*.c */
int child_stream_client(int argc, char **argv);      /* bench_stream_programs.c */
int child_echo_server_kernel(int argc, char **argv); /* bench_kernel_echo_*.c */
int child_echo_server(int argc, char **argv);        /* bench_stream_echo.c */

#endif
