package im.chasqui

import java.util.concurrent.CountDownLatch
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** The core's log, as an app gets it. */
class LogTest {
    @AfterEach
    fun silence(): Unit = ChasquiClient.stopLog()

    /** A sink that can be asked. */
    private class Heard : LogSink {
        private val records = Channel<LogRecord>(Channel.UNLIMITED)
        val threads: MutableSet<String> = java.util.concurrent.ConcurrentHashMap.newKeySet()

        override fun take(record: LogRecord) {
            threads.add(Thread.currentThread().name)
            records.trySend(record).getOrThrow()
        }

        suspend fun until(what: String, isSo: (LogRecord) -> Boolean): List<LogRecord> {
            val heard = mutableListOf<LogRecord>()
            try {
                withTimeout(30.seconds) { do heard += records.receive() while (!isSo(heard.last())) }
            } catch (late: kotlinx.coroutines.TimeoutCancellationException) {
                throw AssertionError("never heard: $what; only $heard", late)
            }
            return heard
        }

        fun rest(): List<LogRecord> = generateSequence { records.tryReceive().getOrNull() }.toList()
    }

    private fun isState(state: String): (LogRecord) -> Boolean = { it.message == "connection" && it.fields["state"] == state }

    @Test
    fun `records have a level, a room, a message and fields`() = test {
        val heard = Heard()
        Pair.meet {
            ana.online()
            // Of clients that are open already, too.
            ChasquiClient.log(LogLevel.DEBUG, heard)
            node.stop()
            val records = heard.until("offline", isState("Offline"))
            val state = records.last()
            assertEquals(LogLevel.INFO, state.level)
            assertEquals("chasqui::driver::engine_loop", state.target)
            assertEquals("connection (state: Offline)", state.text)
            assertTrue(records.all { it.target.startsWith("chasqui") && it.text.startsWith(it.message) }, "$records")
            assertFalse(heard.threads.any { it.startsWith("chasqui") }, "a thread of the host: ${heard.threads}")
        }
    }

    @Test
    fun `what is below the level is not heard, and after the end nothing is`() = test {
        val heard = Heard()
        ChasquiClient.log(LogLevel.ERROR, heard)
        Pair.meet { ana.online() }
        assertEquals(emptyList<LogRecord>(), heard.rest())
        ChasquiClient.log(LogLevel.INFO, heard)
        ChasquiClient.stopLog()
        ChasquiClient.stopLog()
        Pair.meet { ana.online() }
        assertEquals(emptyList<LogRecord>(), heard.rest())
    }

    @Test
    fun `another sink takes over`() = test {
        val (first, second) = Heard() to Heard()
        ChasquiClient.log(LogLevel.INFO, first)
        Pair.meet {
            first.until("online", isState("Online"))
            ana.online()
            bo.online()
            ChasquiClient.log(LogLevel.INFO, second)
            ana.client.suspend()
            ana.client.resume()
            second.until("online", isState("Online"))
        }
    }

    @Test
    fun `a sink that throws or blocks does no harm`() = test {
        val blocked = CountDownLatch(1)
        val reached = CountDownLatch(1)
        var thrown = 0
        ChasquiClient.log(LogLevel.TRACE) {
            thrown += 1
            error("the app's own defect")
        }
        Pair.meet {
            ana.online()
            ChasquiClient.log(LogLevel.TRACE) {
                reached.countDown()
                blocked.await()
            }
            ana.client.suspend()
            ana.client.resume()
            ana.client.sendText(chat, "goes on")
            bo.gets(chat, "goes on")
            reached.await()
            // Whoever comes next does not wait for the one that hangs.
            val heard = Heard()
            ChasquiClient.log(LogLevel.INFO, heard)
            ana.client.suspend()
            ana.client.resume()
            heard.until("online", isState("Online"))
        }
        blocked.countDown()
        assertTrue(thrown > 1, "it was called again after it had thrown")
    }

    @Test
    fun `nothing that people wrote is logged, no name, no secret`() = test {
        val heard = Heard()
        ChasquiClient.log(LogLevel.TRACE, heard)
        val secrets = mutableListOf(PASSWORD, "ana", "bo", "phone", "a word in confidence", "quipu")
        Pair.meet {
            secrets += listOf(ana.user().value, bo.user().value, chat.value)
            secrets += ana.client.sendText(chat, "a word in confidence").value
            bo.gets(chat, "a word in confidence")
            bo.client.markRead(chat)
            bo.client.search("quipu", 10)
            failure<ChasquiException> { ana.client.sendText(chat, "quipu".repeat(20_000)) }
            failure<ChasquiException> { ana.client.findUser("quipu") }
            failure<ChasquiException> { bo.client.login("ana", PASSWORD, "phone") }
            node.stop()
            ana.client.connection.until("offline") { it == ConnectionState.Offline }
            failure<ChasquiException> { ana.client.findUser("quipu") }
            failure<ChasquiException.Internal> { ana.client.timeline(chat, limit = 2_000_000_001) }
            node.start()
            ana.client.networkUp()
            ana.online()
            ana.client.logout()
        }
        ChasquiClient.stopLog()
        val records = heard.rest()
        assertTrue(records.any { it.target == "chasqui::panic" && it.fields["place"]!!.contains("planted.rs") }, "$records")
        for (record in records) {
            for (secret in secrets) {
                val words = record.text.split(Regex("[^\\p{L}\\p{N}-]+"))
                assertFalse(secret in words || " " in secret && secret in record.text, "$secret in $record")
            }
        }
    }
}
