# SPDX-License-Identifier: MIT
# Macros for anyc's configure.ac.

# ANYC_VERSION_SPLIT
# MAJOR.MINOR.PATCH of AC_INIT in its parts.  MAJOR is the sonames' number.
AC_DEFUN([ANYC_VERSION_SPLIT], [
ANYC_VERSION_MAJOR=`echo "$PACKAGE_VERSION" | cut -d. -f1`
ANYC_VERSION_MINOR=`echo "$PACKAGE_VERSION" | cut -d. -f2`
ANYC_VERSION_PATCH=`echo "$PACKAGE_VERSION" | cut -d. -f3`
AC_SUBST([ANYC_VERSION_MAJOR])
AC_SUBST([ANYC_VERSION_MINOR])
AC_SUBST([ANYC_VERSION_PATCH])
])

# ANYC_PART(NAME, VAR, DESCRIPTION, DEBIAN-PACKAGE, CHECK)
# --with-NAME=auto|yes|no.  CHECK sets anyc_found=yes.  Gives $anyc_have_NAME, the conditional
# HAVE_VAR and the macro ANYC_HAVE_VAR.
AC_DEFUN([ANYC_PART], [
AC_ARG_WITH([$1], [AS_HELP_STRING([--with-$1=auto|yes|no], [$3 (auto: if found)])],
	[], [with_$1=auto])
AS_CASE([$with_$1], [auto|yes|no], [],
	[AC_MSG_ERROR([--with-$1 takes auto, yes or no, not $with_$1])])
anyc_found=no
AS_IF([test "$with_$1" != no], [$5])
AS_IF([test "$with_$1$anyc_found" = yesno],
	[AC_MSG_ERROR([$3 was asked for, but what it needs is missing: apt-get install $4])])
anyc_have_$1=$anyc_found
AM_CONDITIONAL([HAVE_$2], [test "$anyc_have_$1" = yes])
AS_IF([test "$anyc_have_$1" = yes], [AC_DEFINE([ANYC_HAVE_$2], [1], [Build $3.])])
])

AC_DEFUN([ANYC_WARNINGS], [
AX_APPEND_COMPILE_FLAGS([ \
	-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wvla -Wformat=2 -Werror=format-security -Wundef -Wpointer-arith -Wcast-align \
	-Wwrite-strings -Wimplicit-fallthrough \
	-Wduplicated-cond -Werror=incompatible-pointer-types -Werror=int-conversion \
	-Werror=implicit-function-declaration], [ANYC_CFLAGS], [-Werror])
])

# One flag per probe.  The linker's are tried by linking a shared object.
AC_DEFUN([ANYC_HARDENING], [
AX_APPEND_COMPILE_FLAGS([ \
	-std=gnu11 -ftls-model=initial-exec \
	-fstack-protector-strong -fstack-clash-protection \
	-ftrivial-auto-var-init=zero -fzero-call-used-regs=used-gpr], [ANYC_CFLAGS], [-Werror])
# Not for programs: tests put functions before libc's, which must be seen.
AX_APPEND_COMPILE_FLAGS([-fvisibility=hidden], [ANYC_LIB_CFLAGS], [-Werror])
# What GCC would use to clear 100 to 500 bytes, rep stosq, takes as long to begin as that takes.
AX_APPEND_COMPILE_FLAGS([-mmemset-strategy=vector_loop:512:noalign,libcall:-1:noalign],
	[ANYC_LIB_CFLAGS], [-Werror])
# The inline part of the switch pushes: src/core/switch.h.
AS_CASE([$host_cpu], [x86_64],
	[AX_CHECK_COMPILE_FLAG([-mno-red-zone],
		[ANYC_LIB_CFLAGS="$ANYC_LIB_CFLAGS -mno-red-zone -DANYC_NO_RED_ZONE"])])
AS_CASE([$host_cpu],
	[x86_64|i?86], [anyc_branch=-fcf-protection=full],
	[aarch64], [anyc_branch=-mbranch-protection=standard], [anyc_branch=])
AS_IF([test -n "$anyc_branch"], [AX_CHECK_COMPILE_FLAG([$anyc_branch],
	[ANYC_CFLAGS="$ANYC_CFLAGS $anyc_branch" ANYC_CCASFLAGS="$ANYC_CCASFLAGS $anyc_branch"],
	[], [-Werror])])
AS_IF([test "$enable_sanitizers" = no], [
	# Needs optimisation, which its warning (an error here) tells us; and not twice.
	for anyc_level in 3 2; do
		anyc_ok=no
		AX_CHECK_COMPILE_FLAG([-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$anyc_level],
			[anyc_ok=yes], [], [-Werror],
			[AC_LANG_PROGRAM([[#include <string.h>]], [[return 0;]])])
		AS_IF([test $anyc_ok = yes], [
			ANYC_CFLAGS="$ANYC_CFLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$anyc_level"
			break])
	done])
AX_APPEND_LINK_FLAGS([-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed],
	[ANYC_LDFLAGS])
AX_APPEND_LINK_FLAGS([-Wl,-z,nodelete], [ANYC_LIB_LDFLAGS], [-shared])
# A sanitizer's functions come from the program.
AS_IF([test "$enable_sanitizers" = no],
	[AX_APPEND_LINK_FLAGS([-Wl,-z,defs], [ANYC_LIB_LDFLAGS], [-shared])])
])

# Calls between files of a library become as cheap as those within one: a free lock takes half the
# instructions.  Objects keep their ordinary code as well, for programs of tests that link them.
AC_DEFUN([ANYC_LTO], [
AX_CHECK_LINK_FLAG([-flto=auto -ffat-lto-objects], [
	ANYC_LIB_CFLAGS="$ANYC_LIB_CFLAGS -flto=auto -ffat-lto-objects"
	ANYC_LIB_LDFLAGS="$ANYC_LIB_LDFLAGS -flto=auto"
	ANYC_LDFLAGS="$ANYC_LDFLAGS -fno-lto"],
	[enable_lto=no], [-shared -fPIC -Werror])
])

# ANYC_SANITIZE(LIST)
AC_DEFUN([ANYC_SANITIZE], [
AX_CHECK_LINK_FLAG([-fsanitize=$1], [],
	[AC_MSG_ERROR([$CC cannot link with -fsanitize=$1])])
ANYC_CFLAGS="$ANYC_CFLAGS -fsanitize=$1 -fno-sanitize-recover=all -fno-omit-frame-pointer"
ANYC_LDFLAGS="$ANYC_LDFLAGS -fsanitize=$1"
])
