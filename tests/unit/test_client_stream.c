/* provider/client: the common cases of stream sockets on whatever rig is linked. */
#include "tests/support/client_cases.h"

int main(void)
{
    int failed = client_cases_stream();
    failed += client_cases_stream_ends();
    failed += client_cases_stream_reuse();
    failed += client_cases_stream_threads();
    return failed != 0;
}
