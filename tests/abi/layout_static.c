/*
 * The golden layout as static assertions, made from layout.golden by CMake (layout_asserts.h):
 * whatever compiler builds this agrees with the file, 64-bit or 32-bit. Nothing happens at run
 * time.
 */
#include "layout_asserts.h"

int main(void)
{
    return 0;
}
