/* provider/client: the common cases of stream sockets on whatever rig is linked. */
#include "tests/support/client_cases.h"

int main(void)
{
    return client_cases_stream() != 0;
}
