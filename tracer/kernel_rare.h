/* The ray kernel's way into instances and out of them, and spheres: part of tracer/kernel.c's rare pass. */
#ifndef MR_KERNEL_RARE_H
#define MR_KERNEL_RARE_H

#include "tracer/kernel_wave.h"

/* A sphere that a ray has met: it waits for seven others. n: the ray's index of from and next. */
INLINE void queue_sphere(wave *w, const slot *s, const mr_bvh_instance *instance, float tmin, float t, uint32_t n)
{
    uint32_t i = w->spheres++;
    w->sphere[i] = instance;
    w->sphere_ray[i] = &w->rays[s->ray];
    w->sphere_tmin[i] = tmin;
    w->sphere_t[i] = t;
    w->sphere_of[i] = n;
}

/* The next reference of a ray that has met a sphere; hit: at t. */
INLINE uint32_t leave_sphere(wave *w, slot *s, const mr_bvh_instance *instance, int hit, float t, int any)
{
    if (hit) {
        s->instance = instance->instance;
        take(s, t, MR_SPHERE);
        s->instance = 0;
        if (any) return MR_REF_EMPTY;
        filter(s);
    }
    return pop(w, s);
}

INLINE void meet_spheres(wave *w, int any)
{
    uint32_t n = w->spheres;
    float at[8] __attribute__((aligned(32)));
    for (uint32_t i = n; i < n + 7; i++) { /* fills the last eight up */
        w->sphere[i] = w->sphere[0];
        w->sphere_ray[i] = w->sphere_ray[0];
        w->sphere_tmin[i] = w->sphere_t[i] = 0;
    }
    for (uint32_t i = 0, hit = 0; i < n; i++) {
        vf8 t;
        if (i % 8 == 0) {
            hit = spheres_hit(w->sphere + i, w->sphere_ray + i, vf_load(w->sphere_tmin + i), vf_load(w->sphere_t + i), &t);
            vf_store(at, t);
        }
        uint32_t of = w->sphere_of[i];
        w->next[of] = leave_sphere(w, slot_at(w, w->from[of]), w->sphere[i], (int)(hit >> i % 8 & 1), at[i % 8], any);
    }
    w->spheres = 0;
}

/* Meets an instance; returns the slot's next reference, and in *raw what the ray becomes if it goes in (*goes). n: its index of from and next; a sphere's
 * next reference is put there later. */
INLINE uint32_t enter(wave *w, slot *s, const mr_bvh_instance *instance, mr_ray *raw, int *goes, uint32_t n, int any)
{
    float tmin, t;
    *goes = 0;
    if (any && instance->flags & MR_INSTANCE_NO_SHADOW) return pop(w, s);
    if (!ray_cut(&s->r, instance, &tmin, &t)) return pop(w, s);
    if (instance->kind == MR_INSTANCE_SPHERE) {
        queue_sphere(w, s, instance, tmin, t, n);
        return MR_REF_EMPTY;
    }
    *goes = 1;
    *raw = ray_image(&w->rays[s->ray], instance, tmin, t);
    s->instance = instance->instance;
    s->top++;
    s->ref[s->top] = MR_REF_EXIT;
    s->dist[s->top] = -1;
    prefetch(w->base, instance->root);
    return instance->root;
}

/* Back in the world: what the ray becomes after an instance. */
INLINE uint32_t leave(wave *w, slot *s, mr_ray *raw)
{
    *raw = w->rays[s->ray];
    raw->tmax = s->best_t;
    s->instance = 0;
    return pop(w, s);
}

#endif
