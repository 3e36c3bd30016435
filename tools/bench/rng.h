/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Random numbers that are the same for the same seed everywhere: splitmix64 (Steele, Lea, Flood:
 * Fast Splittable Pseudorandom Number Generators, 2014).
 */
#ifndef BENCH_RNG_H
#define BENCH_RNG_H

#include <math.h>
#include <stdint.h>

struct rng {
	uint64_t state; /* the seed, at first */
};

static inline uint64_t rng_next(struct rng *rng)
{
	uint64_t x = rng->state += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

/* 0 to below 1. */
static inline double rng_unit(struct rng *rng)
{
	return (rng_next(rng) >> 11) * 0x1.0p-53;
}

/* 0 to n - 1. n is small against 2^64, so the remainder's bias is far below any noise. */
static inline uint64_t rng_below(struct rng *rng, uint64_t n)
{
	return rng_next(rng) % n;
}

/* The time between two events of a Poisson process. */
static inline double rng_exponential(struct rng *rng, double mean)
{
	return -mean * log1p(-rng_unit(rng));
}

#endif
