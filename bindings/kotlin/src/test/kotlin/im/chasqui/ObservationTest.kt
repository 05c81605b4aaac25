package im.chasqui

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import kotlin.time.Duration.Companion.seconds

/** Lists that are watched: a reset first, then differences, and the list that they make. */
class ObservationTest {
    @Test
    fun `observe a timeline, a reset first and then changes`() = test {
        Pair.meet {
            ana.client.sendText(chat, "one")
            bo.gets(chat, "one")
            coroutineScope {
                val updates = Channel<TimelineUpdate>(Channel.UNLIMITED)
                val watching = launch { bo.client.observeTimeline(chat, limit = 50).updates.collect(updates::send) }
                var lines = emptyList<TimelineItem>()
                val first = updates.receive()
                assertTrue(first is TimelineUpdate.Reset, "$first")
                lines = first.applied(lines)
                ana.client.sendText(chat, "two")
                while (lines.size < 2) {
                    val update = updates.receive()
                    assertTrue(update is TimelineUpdate.Changes, "$update")
                    lines = update.applied(lines)
                }
                assertEquals(bo.client.timeline(chat, 50).items, lines, "as a query answers")
                watching.cancel()
            }
        }
    }

    @Test
    fun `the list of conversations follows, latest activity first`() = test {
        Pair.meet {
            val cleo = Device.registered(node, "cleo")
            val withCleo = bo.client.openDirect(cleo.user())
            cleo.client.sendText(cleo.client.openDirect(bo.user()), "hello")
            bo.gets(withCleo, "hello")
            ana.client.sendText(chat, "me too")
            val list = bo.client.observeConversations(limit = 10)
            val lines = list.lists.until("ana on top") { it.firstOrNull()?.lastMessage?.text == "me too" }
            assertEquals(listOf(chat, withCleo), lines.map { it.id })
            bo.client.markRead(chat)
            list.lists.until("read") { it.first().unread == 0 }
            cleo.client.close()
        }
    }

    @Test
    fun `a greater limit loads older lines, also while the flow waits`() = test {
        Pair.meet {
            for (number in 1..20) ana.client.sendText(chat, "line $number")
            bo.gets(chat, "line 20")
            val timeline = bo.client.observeTimeline(chat, limit = 5)
            val atFive = CompletableDeferred<Unit>()
            coroutineScope {
                launch {
                    atFive.await()
                    timeline.limit = 20
                }
                timeline.lists.onEach { if (it.size == 5) atFive.complete(Unit) }.until("all lines") { it.size == 20 }
            }
            assertEquals(20, timeline.limit)
            assertEquals(20, timeline.lists.first().size, "of a later collection, too")
        }
    }

    @Test
    fun `the connection is a state, now and from now on`() = test {
        Pair.meet {
            ana.online()
            assertEquals(ConnectionState.Online, ana.client.connection.value)
            ana.client.suspend()
            assertEquals(ConnectionState.Blocked(Blocked.SUSPENDED), ana.client.connection.value)
            ana.client.resume()
            ana.online()
        }
    }

    @Test
    fun `flows end with their client`() = test {
        Pair.meet {
            coroutineScope {
                val begun = CompletableDeferred<Unit>()
                val client = ana.client
                val lists = launch { client.observeConversations(10).lists.onEach { begun.complete(Unit) }.toList() }
                val states = launch(start = CoroutineStart.UNDISPATCHED) { client.observeConnection().toList() }
                val salvages = launch(start = CoroutineStart.UNDISPATCHED) { client.observeSalvages(0).toList() }
                begun.await()
                client.close()
                withTimeout(30.seconds) { listOf(lists, states, salvages).forEach { it.join() } }
            }
            assertEquals(emptyList<Any>(), ana.client.observeTimeline(chat, 10).lists.toList(), "so do later ones")
            assertEquals(emptyList<Any>(), ana.client.observeConnection().toList())
            assertEquals(ConnectionState.Offline, ana.client.connection.first())
            assertEquals(ConnectionState.Offline, ana.client.connection.value)
        }
    }
}
