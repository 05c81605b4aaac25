package im.chasqui

import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlin.time.measureTime
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Who is typing: seen while it happens, and no longer. */
class TypingTest {
    @Test
    fun `typing shows, and ends by a word, by a message and with the connection`() = test {
        Pair.meet {
            ana.client.sendText(chat, "hello")
            bo.gets(chat, "hello")
            bo.client.sendText(chat, "hello yourself")
            ana.gets(chat, "hello yourself")
            val nobody = emptyList<Typing>()
            val anas = listOf(Typing(chat, ana.user()))
            val seen = MutableStateFlow(listOf<List<Typing>>())
            coroutineScope {
                val watching = launch { bo.client.observeTyping().collect { list -> seen.update { it + listOf(list) } } }
                seen.until("the list as it is") { it.isNotEmpty() }
                // As an app does, key by key: a signal may be lost, and is said again.
                suspend fun anaTypes() {
                    while (seen.value.lastOrNull() != anas) {
                        ana.client.setTyping(chat, true)
                        delay(50.milliseconds)
                    }
                }

                // By itself it would end six seconds after the last word.
                suspend fun ends(what: String, how: suspend () -> Unit) {
                    val took = measureTime {
                        how()
                        seen.until(what) { it.last() == nobody }
                    }
                    assertTrue(took < 5.seconds, "$what: $took")
                }

                anaTypes()
                assertEquals(anas, bo.client.typing.value)
                assertEquals(nobody, ana.client.typing.value, "one does not see oneself")
                ends("Ana to stop") { ana.client.setTyping(chat, false) }
                assertEquals(nobody, bo.client.typing.value)

                anaTypes()
                ends("the message in its place") { ana.client.sendText(chat, "what I typed") }
                bo.gets(chat, "what I typed")

                anaTypes()
                ends("nothing without a connection") { bo.client.suspend() }
                failure<ChasquiException.Suspended> { bo.client.setTyping(chat, true) }
                bo.client.resume()
                watching.cancel()
            }
            assertEquals(listOf(nobody, anas, nobody, anas, nobody, anas, nobody), seen.value)
        }
    }

    @Test
    fun `it is refused where there is no conversation, and ends with the client`() = test {
        Pair.meet {
            val nowhere = ConversationId("09090909-0909-7909-8909-090909090909")
            failure<ChasquiException.NotFound> { ana.client.setTyping(nowhere, true) }
            failure<ChasquiException.Invalid> { ana.client.setTyping(ConversationId("nowhere"), true) }
            ana.client.close()
            failure<ChasquiException.Closed> { ana.client.setTyping(chat, true) }
            assertEquals(emptyList<Any>(), ana.client.observeTyping().toList())
            assertEquals(emptyList<Typing>(), ana.client.typing.first())
        }
    }
}
