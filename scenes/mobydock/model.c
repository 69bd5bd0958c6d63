/* mobydock-model: writes the meshes of the mobydock scene into a folder, which scene.json then refers to.
 *
 *     mobydock-model scenes/mobydock
 *
 * The same bytes come out on every run and for any number of threads. See README.md in this folder. */
#include <stdio.h>

#include "scenes/mobydock/mesher.h"
#include "scenes/mobydock/parts.h"
#include "scenes/mobydock/sea.h"
#include "scenes/mobydock/whale.h"

enum { CONTAINERS = 9 };

static void skin(vertex *v)
{
    v->n = unit(whale_gradient(v->p));
    v->c = whale_color(v->p);
}

static void settle(vertex *v)
{
    v->p = whale_project(v->p, 0.05);
}

static void make_whale(mesh *m)
{
    mesh_surface(m, whale_field, WHALE_LO, WHALE_HI, 0.19);
    mesh_finish(m, settle);
    mesh_refine(m, &(refinement){whale_edge_length, whale_project, 5});
    mesh_finish(m, skin);
}

static int write_part(const char *dir, const char *name, void (*make)(mesh *m))
{
    mesh m = {0};
    make(&m);
    int status = mesh_order(&m) || mesh_write(&m, dir, name);
    mesh_free(&m);
    return status;
}

static int write_marks(const char *dir)
{
    int status = 0;
    for (int i = 0; i < CONTAINERS && !status; i++) {
        char name[32];
        mesh m = {0};
        make_marks(&m, i);
        (void)snprintf(name, sizeof name, "marks-%d.ply", i);
        status = mesh_order(&m) || mesh_write(&m, dir, name);
        mesh_free(&m);
    }
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 2) return fputs("usage: mobydock-model FOLDER\n", stderr), 2;
    whale_init();
    sea_init();
    const char *dir = argv[1];
    return write_part(dir, "whale.ply", make_whale) || write_part(dir, "eyes.ply", make_eyes) ||
           write_part(dir, "container.ply", make_container) || write_marks(dir) || write_part(dir, "sea.ply", make_sea) ||
           write_part(dir, "foam.ply", make_foam) || write_part(dir, "gull.ply", make_gull);
}
