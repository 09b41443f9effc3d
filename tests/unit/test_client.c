/* provider/client: the common cases on whatever rig is linked. */
#include "tests/support/client_cases.h"

int main(void)
{
    int failed = client_cases_sockets();
    failed += client_cases_threads();
    return failed != 0;
}
