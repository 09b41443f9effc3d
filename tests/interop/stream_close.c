#include "stream_rig.h"
#include <stddef.h>
const struct stream_case stream_cases_close[] = {{NULL, NULL}};
