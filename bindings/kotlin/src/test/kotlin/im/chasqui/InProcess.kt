package im.chasqui

import java.io.File

/** Files that this process has open. */
fun openFiles(under: File? = null): List<String> =
    File("/proc/self/fd").listFiles().orEmpty()
        .mapNotNull { runCatching { it.toPath().toRealPath().toString() }.getOrNull() }
        .filter { under == null || it.startsWith(under.canonicalPath) }

/** The library's threads in this process. */
fun ownThreads(): Int =
    File("/proc/self/task").listFiles().orEmpty()
        .count { runCatching { it.resolve("comm").readText().startsWith("chasqui") }.getOrDefault(false) }

/** Calls that the library has not finished. */
fun nativeHandles(): Int = uniffiContinuationHandleMap.size
