/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a process of the workers' user, nobody, does to service "web" on port 8080, with four
 * workers. All but attack() and end_attack() run in the process that attacks.
 */
#ifndef HARNESS_ATTACKS_H
#define HARNESS_ATTACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * In a process of user nobody, which lives on until it is killed. Returns once `how` has, or has
 * said that it goes on.
 */
pid_t attack(void (*how)(void));
void end_attack(pid_t pid);

/* Before the first thing that goes on for as long as the process lives, in a `how` without end. */
void attack_goes_on(void);

/* Ends the attack, which then has failed, with errno's text, unless it works. */
void expect(bool works, const char *what);
/* To a Unix socket. */
int connect_to(const char *path, int type);

/* Connected, with unsent data that nobody takes: its last close waits for minutes. */
int spoiled_socket(void);
/* Sends text with n (at most 2) descriptors whose last close waits for minutes. */
void send_spoiled(int to, const char *text, size_t n);
void spoil_request(void);
void spoil_many_requests(void);
void spoil_notice(void);

/* Thousands of requests that are none, and of notices. */
void flood_requests(void);
void flood_notices(void);
/* Stops all processes of the user for a moment, those that the keeper is just starting as well. */
void stop_everybody(void);
/* Asks to be a worker, with a socket of another port. */
void ask_to_join(void);

/* A socket that listens beside the workers'. */
int member_of_group(void);
/* Puts a program on the group that gives all to its last socket. */
void put_classic(int fd);
void steal_once(void);
void take_off_once(void);

#endif
