package im.chasqui

import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** A defect in Rust is an exception, not the end of the app. See `planted.rs`. */
class PanicTest {
    @Test
    fun `a panic in a call is an exception`() = test {
        Pair.meet {
            val panic = failure<ChasquiException.Internal> { ana.client.timeline(chat, limit = PANICS_AT_ONCE) }
            assertEquals("internal", panic.code)
            assertTrue(panic.message.contains("a planted panic"), panic.message)
            goOn()
        }
    }

    @Test
    fun `a panic in a call that does not suspend is an exception`() = test {
        Pair.meet {
            failure<ChasquiException.Internal> { ana.client.observeTimeline(chat, PANICS_AT_ONCE).lists.first() }
            goOn()
        }
    }

    @Test
    fun `a panic while a flow waits is an exception`() = test {
        Pair.meet {
            val timeline = ana.client.observeTimeline(chat, limit = 10)
            failure<ChasquiException.Internal> {
                timeline.updates.onEach { timeline.limit = PANICS_WHEN_AWAITED }.collect {}
            }
            goOn()
        }
    }

    /** Nothing is locked, lost or stopped. */
    private suspend fun Pair.goOn() {
        ana.client.sendText(chat, "still here")
        bo.gets(chat, "still here")
        ana.until(chat, "received") { it.single().state == MessageState.Received }
        ana.reopen()
        assertEquals(listOf("still here"), ana.texts(chat))
    }

    private companion object {
        const val PANICS_AT_ONCE = 2_000_000_001
        const val PANICS_WHEN_AWAITED = 2_000_000_002
    }
}
