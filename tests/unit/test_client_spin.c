/* provider/client/spin.c: the common cases on whatever rig is linked. */
#include "tests/support/client_cases.h"

int main(void)
{
    return client_cases_spin() != 0;
}
