package im.chasqui

import kotlin.time.Clock
import kotlin.time.Duration.Companion.hours
import kotlinx.coroutines.flow.first
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Two people who talk: what every app does. */
class ConversationTest {
    @Test
    fun `open, register and close`() = test {
        Node.start().use { node ->
            val client = ChasquiClient.open(Config(folder = tempFolder().path, node = node.url))
            assertNull(client.account())
            val account = client.register("ana", PASSWORD, "Ana's phone")
            assertEquals("ana", account.name)
            assertEquals(node.url, account.node)
            assertEquals(account, client.account())
            assertEquals(listOf("Ana's phone"), client.devices().map { it.name })
            assertTrue(client.devices().single().isThisDevice)
            client.close()
        }
    }

    @Test
    fun `find somebody, open a direct conversation, send, receive, mark read`() = test {
        Pair.meet {
            val found = ana.client.findUser("bo")
            assertEquals(bo.user(), found.user)
            assertEquals(chat, ana.client.openDirect(found.user))
            assertEquals(chat, bo.client.openDirect(ana.user()), "both sides name it alike")

            val id = ana.client.sendText(chat, "¡Hola, Bo! 🪶")
            bo.gets(chat, "¡Hola, Bo! 🪶")
            val received = bo.client.message(id)!!
            assertEquals(ana.user(), received.sender)
            assertEquals(false, received.isOwn)
            assertTrue(Clock.System.now() - received.createdAt < 1.hours, "a time of now: ${received.createdAt}")

            val line = bo.client.conversation(chat)!!
            assertEquals(1, line.unread)
            assertEquals("ana", line.peerName)
            assertEquals(ConversationKind.DIRECT, line.kind)
            assertEquals(Protection.END_TO_END, line.protection)
            assertEquals(1, bo.client.totalUnread())
            bo.client.markRead(chat)
            assertEquals(0, bo.client.totalUnread())
            assertEquals(received.seq, bo.client.conversation(chat)!!.readUpTo)

            ana.until(chat, "read") { messages -> messages.single().state == MessageState.Read }
            val delivery = ana.client.message(id)!!.deliveries.single()
            assertEquals(bo.user(), delivery.user)
            assertTrue(delivery.receivedAt != null && delivery.readAt != null, "$delivery")
        }
    }

    @Test
    fun `receipts come in order`() = test {
        Pair.meet {
            // By then Bo's device has published keys, without which nothing is encrypted for it, and sent.
            ana.client.sendText(chat, "good morning")
            bo.gets(chat, "good morning")
            bo.client.suspend()
            val id = ana.client.sendText(chat, "are you there?")
            ana.until(chat, "sent") { it.last().state == MessageState.Sent }
            bo.client.resume()
            ana.until(chat, "received") { it.last().state == MessageState.Received }
            bo.client.markRead(chat)
            ana.until(chat, "read") { messages -> messages.all { it.state == MessageState.Read } }
            assertEquals(id, ana.messages(chat).last().id)
        }
    }

    @Test
    fun `search, and open what was found`() = test {
        Pair.meet {
            for (number in 1..30) ana.client.sendText(chat, "line $number")
            ana.client.sendText(chat, "the quipu is on the table")
            for (number in 31..60) ana.client.sendText(chat, "line $number")
            bo.gets(chat, "line 60")
            val hit = bo.client.search("quip tabl", limit = 10).single()
            assertEquals("the quipu is on the table", hit.message.text)
            val before = bo.client.timeline(chat, limit = 3, before = hit.cursor)
            assertEquals(listOf("line 28", "line 29", "line 30"), before.items.map { (it as TimelineItem.Message).message.text })
            val kept = Cursor(hit.cursor.value)
            val after = bo.client.timelineAfter(chat, kept, limit = 2)
            assertEquals(listOf("line 31", "line 32"), after.items.map { (it as TimelineItem.Message).message.text })
            assertEquals(emptyList<SearchHit>(), bo.client.search("llama", limit = 10))
        }
    }

    @Test
    fun `what is written offline goes out later, once and in order`() = test {
        Pair.meet {
            ana.client.sendText(chat, "before")
            bo.gets(chat, "before")
            node.stop()
            ana.client.connection.until("offline") { it != ConnectionState.Online }
            ana.client.sendText(chat, "offline 1")
            ana.client.sendText(chat, "offline 2")
            assertEquals(listOf("before", "offline 1", "offline 2"), ana.texts(chat))
            assertEquals(MessageState.Pending, ana.messages(chat).last().state)
            assertEquals("bo", ana.client.findUser("bo").name, "people met before are found offline")
            node.start()
            ana.client.networkUp()
            bo.client.networkUp()
            bo.gets(chat, "offline 2")
            assertEquals(listOf("before", "offline 1", "offline 2"), bo.texts(chat))
            ana.until(chat, "received") { messages -> messages.all { it.state == MessageState.Received } }
        }
    }

    @Test
    fun `what is sent again under its id is sent once`() = test {
        Pair.meet {
            val id = MessageId.random()
            val (ours, now) = java.util.UUID.fromString(id.value) to Clock.System.now().toEpochMilliseconds()
            assertTrue(ours.version() == 7 && ours.variant() == 2 && now - (ours.mostSignificantBits ushr 16) in 0..60_000)
            repeat(3) { ana.client.sendTextAs(id, chat, "once") }
            ana.client.sendText(chat, "then")
            bo.gets(chat, "then")
            assertEquals(listOf("once", "then"), bo.texts(chat))
            assertEquals(id, bo.messages(chat).first().id)
            assertEquals(id.value, bo.client.timeline(chat, 10).items.first().key)
        }
    }

    @Test
    fun `a message is deleted here alone`() = test {
        Pair.meet {
            val id = ana.client.sendText(chat, "oh")
            bo.gets(chat, "oh")
            bo.client.delete(id)
            assertEquals(emptyList<String>(), bo.texts(chat))
            assertEquals(listOf("oh"), ana.texts(chat))
        }
    }

    @Test
    fun `a second device gets what is sent from there on`() = test {
        Pair.meet {
            ana.client.sendText(chat, "before")
            bo.gets(chat, "before")
            val laptop = Device.loggedIn(node, "ana")
            link(ana, laptop)
            assertEquals(2, ana.client.devices().size)
            ana.client.sendText(chat, "after")
            laptop.gets(chat, "after")
            // What was said before comes with the history, whenever that does.
            val own = laptop.messages(chat).single { it.text == "after" }
            assertTrue(own.isOwn)
            ana.client.revokeDevice(own.senderDevice.let { laptop.client.account()!!.device })
            laptop.client.connection.until("revoked") { it == ConnectionState.Blocked(Blocked.REVOKED) }
            laptop.client.close()
        }
    }

    @Test
    fun `an account is deleted with a proof, and its folder with it`() = test {
        Pair.meet {
            failure<ChasquiException.ProofNeeded> { ana.client.deleteAccount(AccountProof.Nothing) }
            val proof = AccountProof.Password(PASSWORD)
            assertEquals("a password", proof.toString(), "what is secret is not shown")
            ana.client.deleteAccount(proof)
            failure<ChasquiException.Closed> { ana.client.account() }
            assertEquals(false, ana.folder.resolve("history.db").exists())
            failure<ChasquiException.NotFound> { bo.client.findUser("ana") }
        }
    }

    @Test
    fun `nothing is missing, and nothing was damaged`() = test {
        Pair.meet {
            assertNull(ana.client.incomplete())
            assertEquals(emptyList<Salvage>(), ana.client.salvages())
            ana.online()
            assertEquals(ConnectionState.Online, ana.client.observeConnection().first())
        }
    }
}
