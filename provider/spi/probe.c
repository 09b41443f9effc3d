/*
 * Checks the program's pointers without a system call. The touch functions load (and store again)
 * one byte each; a fault inside them, and only there, is sent on by a vectored handler to a return
 * value of 1. The usual way costs one load a page. Any thread; the handler is registered once, the
 * DLL never leaves.
 *
 * Why not: IsBadReadPtr does the same with a frame-based handler and a scan of every page, and
 * VirtualQuery is a system call per region. Frame-based handlers do not exist in C for both word
 * sizes with this compiler. What this does not do: memory that another thread unmaps between the
 * check and the copy faults in the copy, as in any user-mode library.
 */
#include "provider/spi/spi.h"

/* Where a fault between spi_touch_read and here goes on: not a function to call. */
extern const char spi_touch_fault[] __asm__("spi_touch_fault");

#ifdef __x86_64__
__asm__(".text\n"
        ".globl spi_touch_read, spi_touch_write, spi_touch_call\n"
        ".p2align 4\n"
        "spi_touch_read:\n"
        "    movb (%rcx), %al\n"
        "    xorl %eax, %eax\n"
        "    ret\n"
        "spi_touch_write:\n"
        "    movb (%rcx), %al\n"
        "    movb %al, (%rcx)\n"
        "    xorl %eax, %eax\n"
        "    ret\n"
        "spi_touch_call:\n"
        "    movl (%rcx), %eax\n"
        "    movl %eax, (%rcx)\n"
        "    movl (%rdx), %eax\n"
        "    movl %eax, (%rdx)\n"
        "    movb (%r8), %al\n"
        "    movb (%r9), %al\n"
        "    xorl %eax, %eax\n"
        "    ret\n"
        "spi_touch_fault:\n"
        "    movl $1, %eax\n"
        "    ret\n");
#define CONTEXT_IP(context) ((context)->Rip)
#else
__asm__(".text\n"
        ".globl spi_touch_read, spi_touch_write, spi_touch_call\n"
        ".p2align 4\n"
        "spi_touch_read:\n"
        "    movl 4(%esp), %ecx\n"
        "    movb (%ecx), %al\n"
        "    xorl %eax, %eax\n"
        "    ret\n"
        "spi_touch_write:\n"
        "    movl 4(%esp), %ecx\n"
        "    movb (%ecx), %al\n"
        "    movb %al, (%ecx)\n"
        "    xorl %eax, %eax\n"
        "    ret\n"
        "spi_touch_call:\n"
        "    movl 4(%esp), %ecx\n"
        "    movl (%ecx), %eax\n"
        "    movl %eax, (%ecx)\n"
        "    movl 8(%esp), %ecx\n"
        "    movl (%ecx), %eax\n"
        "    movl %eax, (%ecx)\n"
        "    movl 12(%esp), %ecx\n"
        "    movb (%ecx), %al\n"
        "    movl 16(%esp), %ecx\n"
        "    movb (%ecx), %al\n"
        "    xorl %eax, %eax\n"
        "    ret\n"
        "spi_touch_fault:\n"
        "    movl $1, %eax\n"
        "    ret\n");
#define CONTEXT_IP(context) ((context)->Eip)
#endif

static LONG CALLBACK probe_on_exception(PEXCEPTION_POINTERS pointers)
{
    DWORD code = pointers->ExceptionRecord->ExceptionCode;
    uintptr_t ip = CONTEXT_IP(pointers->ContextRecord);
    /* A stack overflow here is a pointer to the end of the caller's stack, not a call too deep. */
    if ((code != EXCEPTION_ACCESS_VIOLATION && code != EXCEPTION_IN_PAGE_ERROR &&
         code != EXCEPTION_GUARD_PAGE && code != EXCEPTION_STACK_OVERFLOW) ||
        ip < (uintptr_t)spi_touch_read || ip >= (uintptr_t)spi_touch_fault) {
        return EXCEPTION_CONTINUE_SEARCH;
    }
    CONTEXT_IP(pointers->ContextRecord) = (uintptr_t)spi_touch_fault;
    return EXCEPTION_CONTINUE_EXECUTION;
}

void spi_probe_init(void)
{
    (void)AddVectoredExceptionHandler(1, probe_on_exception);
}

/* Upwards, and no page behind one that is not there: that may be a stack's guard, which a touch
 * takes away. */
static inline bool probe(void *memory, size_t length_bytes, int (*touch)(void *byte))
{
    char *first = memory;
    if (length_bytes == 0) {
        return true;
    }
    if (first == NULL || (uintptr_t)first + (length_bytes - 1) < (uintptr_t)first ||
        touch(first) != 0) {
        return false;
    }
    const char *last = first + (length_bytes - 1);
    char *page = (char *)(((uintptr_t)first | (SPI_PAGE_BYTES - 1)) + 1);
    for (; page <= last; page += SPI_PAGE_BYTES) {
        if (touch(page) != 0) {
            return false;
        }
    }
    return true;
}

bool spi_can_read(const void *memory, size_t length_bytes)
{
    return probe((void *)(uintptr_t)memory, length_bytes, spi_touch_read);
}

bool spi_can_write(void *memory, size_t length_bytes)
{
    return probe(memory, length_bytes, spi_touch_write);
}
