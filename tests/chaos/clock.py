"""A wall clock that is set off, for one process; all other clocks as they are. Needs a C compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

TEN_YEARS_S = 10 * 366 * 24 * 3600

_SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* The wall clock, set off by what stands in a file. */
int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, now);
    const char *path = getenv("CLOCK_OFFSET_FILE");
    if (id == CLOCK_REALTIME && path) {
        long offset_s = 0;
        FILE *file = fopen(path, "r");
        if (file) {
            if (fscanf(file, "%ld", &offset_s) == 1) now->tv_sec += offset_s;
            fclose(file);
        }
    }
    return result;
}
"""


def jumping_clock(folder: Path) -> dict[str, str] | None:
    """Environment in which the file ``CLOCK_OFFSET_FILE``, if any, says by how many seconds the clock is off.

    Returns
    -------
    dict or None
        ``None`` where there is no C compiler.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(_SOURCE)
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return {"LD_PRELOAD": str(library)}
