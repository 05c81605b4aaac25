package im.chasqui

import java.io.ByteArrayOutputStream
import java.io.File
import java.net.ServerSocket
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.firstOrNull
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.launch
import kotlinx.coroutines.runInterruptible
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.yield
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Opening, closing, cancelling, suspending: nothing stays behind. */
class LifecycleTest {
    @Test
    fun `close and reopen keeps the history`() = test {
        Pair.meet {
            ana.client.sendText(chat, "kept")
            bo.gets(chat, "kept")
            bo.reopen()
            assertEquals(listOf("kept"), bo.texts(chat))
            bo.online()
            ana.client.sendText(chat, "and more")
            bo.gets(chat, "and more")
        }
    }

    @Test
    fun `a closed client answers closed, and closing again does nothing`() = test {
        Pair.meet {
            val client = ana.client
            client.close()
            client.close()
            for (call in listOf<suspend () -> Any?>(
                { client.account() },
                { client.sendText(chat, "no") },
                { client.conversations(10) },
                { client.search("x", 10) },
                { client.suspend() },
                { client.resume() },
                { client.devices() },
                { client.export(ByteArrayOutputStream()) },
                { client.wipe() },
            )) {
                failure<ChasquiException.Closed> { call() }
            }
            client.networkUp()
            assertNull(client.observeConversations(10).lists.firstOrNull(), "what would watch it ends")
        }
    }

    @Test
    fun `a call that waits while the client is closed ends`() = test {
        Pair.meet {
            // Accepts connections and never answers.
            ServerSocket(0).use { silent ->
                val client = ChasquiClient.open(Config(tempFolder().path, "http://127.0.0.1:${silent.localPort}"))
                coroutineScope {
                    val waiting = launch(start = CoroutineStart.UNDISPATCHED) {
                        failure<ChasquiException> { client.register("ana", PASSWORD, "phone") }
                    }
                    client.close()
                    withTimeout(50.seconds) { waiting.join() }
                }
            }
        }
    }

    @Test
    fun `cancelling a coroutine ends its observer and its call`() = test {
        Pair.meet {
            val before = nativeHandles()
            coroutineScope {
                val begun = CompletableDeferred<Unit>()
                val watching = launch {
                    ana.client.observeTimeline(chat, 10).updates.onEach { begun.complete(Unit) }.collect {}
                }
                begun.await()
                watching.cancelAndJoin()
                val unconfined = launch(Dispatchers.Unconfined) { ana.client.observeConversations(10).lists.collect {} }
                unconfined.cancelAndJoin()
            }
            // A call to a node that does not answer.
            ServerSocket(0).use { silent ->
                ChasquiClient.open(Config(tempFolder().path, "http://127.0.0.1:${silent.localPort}")).use { client ->
                    coroutineScope {
                        val waiting = launch { client.register("ana", PASSWORD, "phone") }
                        val asked = runInterruptible(Dispatchers.IO) { silent.accept() }
                        withTimeout(10.seconds) { waiting.cancelAndJoin() }
                        asked.close()
                    }
                }
            }
            withTimeout(30.seconds) { while (nativeHandles() > before) yield() }
            ana.client.sendText(chat, "goes on")
            bo.gets(chat, "goes on")
        }
    }

    @Test
    fun `two clients in one process are two devices`() = test {
        Pair.meet {
            bo.client.openDirect(ana.user())
            coroutineScope {
                launch { for (number in 1..50) ana.client.sendText(chat, "ana $number") }
                launch { for (number in 1..50) bo.client.sendText(chat, "bo $number") }
            }
            for (device in listOf(ana, bo)) device.until(chat, "all") { messages -> messages.size == 100 && messages.all { it.seq != null } }
            assertEquals(ana.texts(chat), bo.texts(chat), "one order")
            val taken = failure<ChasquiException.FolderInUse> { ChasquiClient.open(Config(ana.folder.path, node.url)) }
            assertTrue(taken.isRetryable)
        }
    }

    @Test
    fun `suspend and resume, with observers that wait meanwhile`() = test {
        Pair.meet {
            coroutineScope {
                val got = CompletableDeferred<Unit>()
                val watching = launch {
                    bo.client.observeTimeline(chat, 10).lists.collect { if (it.isNotEmpty()) got.complete(Unit) }
                }
                bo.online()
                bo.client.suspend()
                assertEquals(emptyList<String>(), openFiles(bo.folder))
                failure<ChasquiException.Suspended> { bo.client.conversations(10) }
                ana.client.sendText(chat, "meanwhile")
                bo.client.resume()
                withTimeout(60.seconds) { got.await() }
                watching.cancel()
            }
            assertEquals(listOf("meanwhile"), bo.texts(chat))
        }
    }

    @Test
    fun `wiped, the folder is empty and the client closed`() = test {
        Pair.meet {
            bo.client.wipe()
            failure<ChasquiException.Closed> { bo.client.account() }
            assertEquals(false, bo.folder.resolve("history.db").exists())
        }
    }

    @Test
    fun `logged out, the history stays readable`() = test {
        Pair.meet {
            ana.client.sendText(chat, "kept")
            bo.gets(chat, "kept")
            bo.client.logout()
            bo.client.connection.until("not enrolled") { it == ConnectionState.Blocked(Blocked.NOT_ENROLLED) }
            assertEquals(listOf("kept"), bo.texts(chat))
            failure<ChasquiException.NotEnrolled> { bo.client.logout() }
        }
    }

    @Test
    fun `export and close`() = test {
        Pair.meet {
            for (number in 1..600) ana.client.sendText(chat, "line $number")
            bo.gets(chat, "line 600")
            val file = File(bo.folder.parentFile, "${bo.folder.name}.jsonl")
            bo.client.export(file)
            val lines = file.readLines()
            assertEquals(600, lines.count { it.contains("\"kind\":\"message\"") })
            assertTrue(lines.last().contains("\"kind\":\"end\""), lines.last())
            val bytes = ByteArrayOutputStream()
            bo.client.export(bytes)
            assertEquals(file.readText(), bytes.toString(Charsets.UTF_8))
            file.delete()
            assertTrue(bo.client.exportFromNode().contains("\"name\":\"bo\""))
            bo.client.close()
        }
    }
}
