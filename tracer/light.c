#include "tracer/light.h"

void mr_lights_init(mr_lights *lights, const mr_pack *pack)
{
    *lights = (mr_lights){0};
    for (uint32_t i = pack->light_count; i-- > 0;) {
        if (pack->lights[i].kind == MR_LIGHT_TRIANGLE) {
            lights->first_triangle = i;
            lights->triangle_count++;
        } else if (pack->lights[i].kind == MR_LIGHT_SUN) {
            lights->first_sun = i;
            lights->sun_count++;
        }
    }
}
