package im.chasqui

import java.util.concurrent.atomic.AtomicBoolean
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext

/**
 * How the library is called: off the caller's thread, with the library's errors and no others.
 *
 * Whoever waits is resumed by its own dispatcher, never on a thread of the library. Cancelling the coroutine drops what
 * the library was about to do for it.
 */
internal class Calls {
    private val isClosed = AtomicBoolean()

    /** From here on everything fails with [ChasquiException.Closed]. Whether that is new. */
    fun close(): Boolean = isClosed.compareAndSet(false, true)

    suspend fun <T> call(operation: suspend () -> T): T = withContext(Dispatchers.Default) { typed { operation() } }

    inline fun <T> typed(operation: () -> T): T {
        if (isClosed.get()) throw ChasquiException.Closed()
        return guarded(operation)
    }

    /** Null when the app closed the client, before or meanwhile. */
    inline fun <T : Any> unlessClosed(operation: () -> T?): T? =
        try {
            operation()
        } catch (closed: ChasquiException.Closed) {
            null
        }

    inline fun <T> guarded(operation: () -> T): T =
        try {
            operation()
        } catch (panic: InternalException) {
            throw ChasquiException.Internal(panic.message ?: "the library panicked").apply { initCause(panic) }
        } catch (freed: IllegalStateException) {
            // What was closed meanwhile is freed.
            if (isClosed.get() && freed !is kotlin.coroutines.cancellation.CancellationException) {
                throw ChasquiException.Closed()
            }
            throw freed
        }
}
