package im.chasqui

import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Job
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.joinAll
import kotlinx.coroutines.launch
import kotlinx.coroutines.yield
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Who is cancelled stops waiting; what was asked happened entirely, or not at all. */
class CancellationTest {
    @Test
    fun `a message is in the outbox or not, once and whole, whenever the coroutine was cancelled`() = test {
        Pair.meet {
            val returned = java.util.concurrent.ConcurrentLinkedQueue<String>()
            coroutineScope {
                // At another moment each: not begun, on its way, or done.
                (0 until 200).map { number ->
                    launch {
                        val sending = launch { returned.add("$number".also { ana.client.sendText(chat, it) }) }
                        repeat(number % 20) { yield() }
                        repeat(number * 50) { Thread.onSpinWait() }
                        sending.cancelAndJoin()
                    }
                }.joinAll()
            }
            ana.client.sendText(chat, "the last")
            bo.gets(chat, "the last")
            val texts = ana.texts(chat)
            assertEquals(texts.distinct(), texts, "nothing twice")
            assertTrue(texts.containsAll(returned), "what was told is so")
            assertTrue(texts.all { it == "the last" || it.toInt() in 0 until 200 }, "nothing else")
            assertEquals(texts, bo.texts(chat), "and all of it arrives")
        }
    }

    @Test
    fun `what was cancelled before it began did not happen`() = test {
        Pair.meet {
            coroutineScope {
                val never: Job = launch(start = CoroutineStart.LAZY) { ana.client.sendText(chat, "never") }
                never.cancelAndJoin()
                launch(start = CoroutineStart.UNDISPATCHED) {
                    coroutineContext[Job]!!.cancel()
                    ana.client.sendText(chat, "never")
                }
            }
            assertEquals(emptyList<String>(), ana.texts(chat))
        }
    }

    @Test
    fun `whoever does not know sends again under the same id`() = test {
        Pair.meet {
            val id = MessageId("0190f5f0-0000-7000-8000-00000000abce")
            coroutineScope {
                val sending = launch { ana.client.sendTextAs(id, chat, "once") }
                yield()
                sending.cancelAndJoin()
            }
            ana.client.sendTextAs(id, chat, "once")
            bo.gets(chat, "once")
            assertEquals(listOf("once"), ana.texts(chat))
            assertEquals(listOf(id), bo.messages(chat).map { it.id })
        }
    }
}
