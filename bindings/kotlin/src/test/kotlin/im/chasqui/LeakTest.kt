package im.chasqui

import java.io.File
import java.net.ServerSocket
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.launch
import kotlinx.coroutines.runInterruptible
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.yield
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** However a client ends, its files, sockets, threads and calls end with it: counted in this process. */
class LeakTest {
    @Test
    fun `closed in a loop`() = test {
        withFolder { node, folder ->
            // Held, so that only closing frees them.
            val closed = mutableListOf<ChasquiClient>()
            leavesNothing(folder) {
                ChasquiClient.open(Config(folder.path, node.url)).also(closed::add).use { client ->
                    client.connection.until("online") { it == ConnectionState.Online }
                    client.observeConversations(10).lists.first()
                }
                assertEquals(emptyList<String>(), openFiles(folder), "all are closed when close() returns")
            }
            assertTrue(closed.size > 20)
        }
    }

    @Test
    fun `closed while flows are collected`() = test {
        withFolder { node, folder ->
            val closed = mutableListOf<ChasquiClient>()
            leavesNothing(folder) {
                val client = ChasquiClient.open(Config(folder.path, node.url)).also(closed::add)
                coroutineScope {
                    val begun = CompletableDeferred<Unit>()
                    launch { client.observeConversations(10).updates.onEach { begun.complete(Unit) }.collect {} }
                    launch { client.observeConnection().collect {} }
                    launch { client.observeSalvages(0).collect {} }
                    launch { client.observeSecurityEvents().collect {} }
                    launch { client.observeHistoryTransfer().collect {} }
                    launch { client.observeTyping().collect {} }
                    begun.await()
                    client.close()
                }
            }
        }
    }

    @Test
    fun `calls and collections that are cancelled`() = test {
        // Accepts connections and never answers.
        ServerSocket(0).use { silent ->
            val folder = tempFolder()
            ChasquiClient.open(Config(folder.path, "http://127.0.0.1:${silent.localPort}")).use { client ->
                val before = nativeHandles()
                val (files, threads) = openFiles().size to ownThreads()
                repeat(20) {
                    coroutineScope {
                        val waiting = launch { client.register("ana", PASSWORD, "phone") }
                        val asked = runInterruptible(Dispatchers.IO) { silent.accept() }
                        waiting.cancelAndJoin()
                        asked.close()
                        val begun = CompletableDeferred<Unit>()
                        val watching = launch {
                            client.observeConversations(10).updates.onEach { begun.complete(Unit) }.collect {}
                        }
                        begun.await()
                        watching.cancelAndJoin()
                    }
                }
                eventually("calls to end") { nativeHandles() <= before }
                eventually("sockets to end") { openFiles().size <= files + 2 }
                assertEquals(threads, ownThreads())
            }
            folder.deleteRecursively()
        }
    }

    @Test
    fun `dropped without being closed`() = test {
        withFolder { node, folder ->
            suspend fun useAndForget() {
                val client = ChasquiClient.open(Config(folder.path, node.url))
                client.connection.until("online") { it == ConnectionState.Online }
                client.observeConversations(10).lists.first()
            }
            val threads = ownThreads()
            repeat(3) {
                useAndForget()
                eventually("the collector to find it") {
                    System.gc()
                    openFiles(folder).isEmpty() && ownThreads() <= threads
                }
            }
        }
    }

    /** A folder with a device that is registered, and its node. */
    private suspend fun withFolder(body: suspend (Node, File) -> Unit) {
        Node.start().use { node ->
            val folder = tempFolder()
            ChasquiClient.open(Config(folder.path, node.url)).use { it.register("ana", PASSWORD, "phone") }
            body(node, folder)
            folder.deleteRecursively()
        }
    }

    /** Counts before and after many times. */
    private suspend fun leavesNothing(folder: File, once: suspend () -> Unit) {
        // The first few load classes and fill pools.
        repeat(5) { once() }
        eventually("what came before to end") { ownThreads() == 0 }
        val (files, handles) = openFiles().size to nativeHandles()
        repeat(20) { once() }
        eventually("every thread to end") { ownThreads() == 0 }
        eventually("every call to end") { nativeHandles() <= handles }
        // The machine's own pools come and go.
        eventually("every file and socket to be closed: ${openFiles()}") { openFiles().size <= files + 2 }
        assertEquals(emptyList<String>(), openFiles(folder))
    }

    private suspend fun eventually(what: String, isSo: () -> Boolean) {
        try {
            withTimeout(30.seconds) { while (!isSo()) yield() }
        } catch (late: kotlinx.coroutines.TimeoutCancellationException) {
            throw AssertionError("still waiting for $what; ${ownThreads()} threads, ${nativeHandles()} calls", late)
        }
    }
}
