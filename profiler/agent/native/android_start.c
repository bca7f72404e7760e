/* Where the program begins on Android; the NDK has this in its crtbegin object.
 *
 * The agent is compiled against musl's headers. Of what it uses, Android's C library calls one
 * thing by another name: where errno is. */

#include <stddef.h>

int main(int argc, char **argv);

/* Bionic's: sets the library up from what the kernel left on the stack, then calls `start` and
 * exits. The arrays are constructors and destructors, of which there are none. */
_Noreturn void __libc_init(void *stack, void (*unused)(void), int (*start)(int, char **),
                           void *const *arrays);
int *__errno(void);

int *__errno_location(void) {
    return __errno();
}

__attribute__((used)) _Noreturn static void begin(void *stack) {
    static void *const none[8];
    __libc_init(stack, NULL, main, none);
}

#if defined(__aarch64__)
__asm__(".globl _start\n_start: mov x29, xzr\n mov x30, xzr\n mov x0, sp\n b begin\n");
#elif defined(__x86_64__)
__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");
#endif
