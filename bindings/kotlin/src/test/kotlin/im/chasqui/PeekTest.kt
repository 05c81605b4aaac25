package im.chasqui

import java.io.File
import kotlin.time.Duration.Companion.days
import kotlin.time.Duration.Companion.seconds
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** What a notification shows: without taking it, whoever has the folder. */
class PeekTest {
    @Test
    fun `a notification shows what waits and takes nothing`() = test {
        Pair.meet(Protection.NODE_READABLE) {
            bo.client.suspend()
            val sent = ana.client.sendText(chat, "are you there?")
            ana.until(chat, "sent") { messages -> messages.any { it.state == MessageState.Sent } }
            val config = Config(bo.folder.path, node.url)
            repeat(2) {
                val peeked = ChasquiClient.peek(config, 20.seconds)
                assertEquals(listOf(sent), peeked.messages.map { it.id })
                assertEquals("ana" to "are you there?", peeked.messages[0].run { senderName to text })
                assertEquals(chat, peeked.messages[0].conversation)
                assertEquals(1, peeked.unread)
                assertFalse(peeked.hasMore)
            }
            assertEquals(MessageState.Sent, ana.messages(chat).single().state, "nothing was acknowledged")
            bo.client.resume()
            bo.gets(chat, "are you there?")
            assertEquals(1, bo.client.totalUnread(), "and nothing was marked")
            assertTrue(ChasquiClient.peek(config, 20.seconds).messages.isEmpty(), "what is here is shown by the app")
        }
    }

    @Test
    fun `beside an app of another process that is frozen with the folder open`() = test {
        Pair.meet(Protection.NODE_READABLE) {
            bo.client.close()
            Holder.start(bo.folder, node).use { app ->
                app.signal("STOP")
                val sent = ana.client.sendText(chat, "are you there?")
                ana.until(chat, "sent") { messages -> messages.any { it.state == MessageState.Sent } }
                val config = Config(bo.folder.path, node.url)
                failure<ChasquiException.FolderInUse> { ChasquiClient.open(config) }
                repeat(2) {
                    val peeked = ChasquiClient.peek(config, 20.seconds)
                    assertEquals(listOf(sent), peeked.messages.map { it.id })
                    assertEquals(1, peeked.unread)
                }
                assertEquals(MessageState.Sent, ana.messages(chat).single().state)
                app.signal("CONT")
                ana.until(chat, "received") { it.single().state == MessageState.Received }
            }
        }
    }

    @Test
    fun `what cannot be peeked is refused as such, and leaves nothing behind`() = test {
        Pair.meet {
            val config = Config(bo.folder.path, node.url)
            failure<ChasquiException.Offline> { ChasquiClient.peek(config, 0.seconds) }
            failure<ChasquiException.Offline> { ChasquiClient.peek(config, (-1).days) }
            failure<ChasquiException.Invalid> { ChasquiClient.peek(config.copy(node = "relay.example.org"), 20.seconds) }
            failure<ChasquiException.Invalid> {
                ChasquiClient.peek(config.copy(deviceBinding = ByteArray(16)), 20.seconds)
            }
            failure<ChasquiException.OtherDevice> {
                val bound = tempFolder()
                val secret = ByteArray(32) { it.toByte() }
                ChasquiClient.open(Config(bound.path, node.url, deviceBinding = secret)).use {
                    it.register("cleo", PASSWORD, "phone")
                }
                ChasquiClient.peek(Config(bound.path, node.url, deviceBinding = ByteArray(32)), 20.seconds)
            }
            val nowhere = File(tempFolder(), "nowhere")
            failure<ChasquiException.NotEnrolled> { ChasquiClient.peek(Config(nowhere.path, node.url), 20.seconds) }
            assertFalse(nowhere.exists())
            node.stop()
            failure<ChasquiException.Offline> { ChasquiClient.peek(config, 20.seconds) }
        }
    }
}
