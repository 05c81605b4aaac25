package im.chasqui

import java.io.File
import java.net.ServerSocket
import java.nio.file.Files
import java.util.concurrent.TimeUnit
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout

/** Long enough for a slow machine; no test waits for it to pass. */
private val DEADLINE = 60.seconds

const val PASSWORD: String = "correct horse battery"

/** A coroutine test with a deadline. */
fun test(body: suspend () -> Unit): Unit = runBlocking(Dispatchers.Default) { withTimeout(DEADLINE * 2) { body() } }

/** Waits for a condition, and says which one never came true. */
suspend fun <T> Flow<T>.until(what: String, isSo: (T) -> Boolean): T {
    var last: T? = null
    return try {
        withTimeout(DEADLINE) { first { last = it; isSo(it) } }
    } catch (late: kotlinx.coroutines.TimeoutCancellationException) {
        throw AssertionError("still waiting: $what; last: $last", late)
    }
}

/** Everything that the tests write; removed in the end. Processes that they start and kill write nothing. */
private val SCRATCH: File by lazy {
    val folder = Files.createTempDirectory("chasqui").toFile()
    Runtime.getRuntime().addShutdownHook(Thread { folder.deleteRecursively() })
    folder
}

fun tempFolder(): File = Files.createTempDirectory(SCRATCH.toPath(), "folder").toFile()

/** The real node, a process of its own. Keeps its folder and its port over a stop. */
class Node private constructor(private val data: File, private val port: Int, private val config: File) : AutoCloseable {
    private var process: Process? = null

    val url: String = "http://127.0.0.1:$port"

    fun start() {
        val binary = File(System.getProperty("chasqui.node")).canonicalPath
        val where = listOf("--listen", "127.0.0.1:$port", "--data", data.path, "--config", config.path)
        val command = listOf(binary, "serve", "--log", "warn") + where
        val started =
            ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start()
                .also { process = it }
        val said = started.inputStream.bufferedReader().readLine()
        check(said != null && said.contains("listening")) { "the node did not start: $said" }
    }

    fun stop() {
        process?.run {
            destroy()
            if (!waitFor(30, TimeUnit.SECONDS)) destroyForcibly()
        }
        process = null
    }

    override fun close() {
        stop()
        data.deleteRecursively()
        config.delete()
    }

    companion object {
        /** @param config TOML. */
        fun start(config: String = ""): Node {
            val port = ServerSocket(0).use { it.localPort }
            val file = File.createTempFile("node", ".toml", SCRATCH).apply { writeText(config) }
            return Node(tempFolder(), port, file).apply { start() }
        }
    }
}

/** A client and its folder. */
class Device(var client: ChasquiClient, val folder: File, private val node: Node) {
    suspend fun user(): UserId = client.account()!!.user

    suspend fun online() {
        client.connection.until("online") { it == ConnectionState.Online }
    }

    /** As after an app was closed and started again. */
    suspend fun reopen() {
        client.close()
        client = ChasquiClient.open(Config(folder.path, node.url))
    }

    suspend fun messages(chat: ConversationId): List<Message> =
        client.timeline(chat, 1000).items.filterIsInstance<TimelineItem.Message>().map { it.message }

    suspend fun texts(chat: ConversationId): List<String> = messages(chat).map { it.text }

    /** Waits until the messages are as wanted. */
    suspend fun until(chat: ConversationId, what: String, isSo: (List<Message>) -> Boolean) {
        client.observeTimeline(chat, 1000).lists.until(what) { lines ->
            isSo(lines.filterIsInstance<TimelineItem.Message>().map { it.message })
        }
    }

    suspend fun gets(chat: ConversationId, text: String) {
        until(chat, "\"$text\"") { messages -> messages.any { it.text == text } }
    }

    companion object {
        suspend fun blank(node: Node): Device {
            val folder = tempFolder()
            return Device(ChasquiClient.open(Config(folder.path, node.url)), folder, node)
        }

        suspend fun registered(node: Node, name: String): Device =
            blank(node).apply { client.register(name, PASSWORD, "phone") }

        /** Of somebody who has a phone; not linked by it. */
        suspend fun loggedIn(node: Node, name: String): Device =
            blank(node).apply { client.login(name, PASSWORD, "laptop") }
    }
}

/** Links [laptop] by [phone], as people do. */
suspend fun link(phone: Device, laptop: Device): Unit = coroutineScope {
    val code = laptop.client.beginLinking()
    val there = async { laptop.client.linkingNumber() }
    val here = phone.client.linkDevice(code)
    check(here == there.await()) { "two numbers" }
    val confirmed = async { laptop.client.confirmLinking() }
    phone.client.confirmLinking()
    confirmed.await()
}

val Message.text: String
    get() = (content as MessageContent.Text).text

/** Ana and Bo, a phone each, and their conversation. */
class Pair(val node: Node, val ana: Device, val bo: Device, val chat: ConversationId) {
    companion object {
        suspend fun meet(protection: Protection = Protection.END_TO_END, body: suspend Pair.() -> Unit) {
            withContext(Dispatchers.IO) { Node.start() }.use { node ->
                val ana = Device.registered(node, "ana")
                val bo = Device.registered(node, "bo")
                try {
                    Pair(node, ana, bo, ana.client.openDirectAs(bo.user(), protection)).body()
                } finally {
                    for (device in listOf(ana, bo)) {
                        device.client.close()
                        device.folder.deleteRecursively()
                    }
                }
            }
        }
    }
}

/** The exception that it fails with. */
suspend inline fun <reified E : Throwable> failure(crossinline body: suspend () -> Unit): E {
    val failure = runCatching { body() }.exceptionOrNull()
    return failure as? E ?: throw AssertionError("${E::class.simpleName} was expected, not $failure", failure)
}
