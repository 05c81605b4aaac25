package im.chasqui

import java.util.logging.Level
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.launch

/** Where the SDK's log goes: see [ChasquiClient.log]. */
public fun interface LogSink {
    /** Takes one record after the other, on a thread of [Dispatchers.IO]. What it throws is ignored. */
    public fun take(record: LogRecord)
}

/** As `android.util.Log` counts: from 2 (verbose) to 6 (error). */
public val LogLevel.logcatPriority: Int
    get() =
        when (this) {
            LogLevel.ERROR -> 6
            LogLevel.WARN -> 5
            LogLevel.INFO -> 4
            LogLevel.DEBUG -> 3
            LogLevel.TRACE -> 2
        }

/** As `java.util.logging` names it. */
public val LogLevel.javaLevel: Level
    get() =
        when (this) {
            LogLevel.ERROR -> Level.SEVERE
            LogLevel.WARN -> Level.WARNING
            LogLevel.INFO -> Level.INFO
            LogLevel.DEBUG -> Level.FINE
            LogLevel.TRACE -> Level.FINER
        }

/** Who listens to the log of this process. */
internal object Listening {
    private var current: NativeLog? = null

    /** Whoever listened before gets what was logged until now. */
    @Synchronized
    fun begin(level: LogLevel, sink: LogSink) {
        val log = NativeLog(level)
        current = log
        CoroutineScope(Dispatchers.IO).launch {
            try {
                while (true) log.next()?.forEach { hand(it, sink) } ?: break
            } catch (panic: InternalException) {
                // Then there is no log.
            } finally {
                forget(log)
            }
        }
    }

    @Synchronized
    fun end() {
        current?.stop()
    }

    @Synchronized
    private fun forget(log: NativeLog) {
        if (current === log) current = null
        log.close()
    }

    @Suppress("TooGenericExceptionCaught")
    private fun hand(record: LogRecord, sink: LogSink) {
        try {
            sink.take(record)
        } catch (ignored: Throwable) {
            // The app's own: the log must not end an app that works.
        }
    }
}
