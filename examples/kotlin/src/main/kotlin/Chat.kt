import im.chasqui.ChasquiClient
import im.chasqui.ChasquiException
import im.chasqui.Config
import im.chasqui.ConnectionState
import im.chasqui.ConversationId
import im.chasqui.Message
import im.chasqui.MessageContent
import im.chasqui.MessageState
import im.chasqui.TimelineItem
import im.chasqui.use
import kotlin.system.exitProcess
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext

private const val HELP = """
  /with NAME     talk to somebody
  /list          conversations, and what is unread
  /search WORDS  in everything that was ever said
  /devices       your devices
  /number NAME   what both of you compare, to know that nobody stands between you
  /quit
  anything else is sent"""

/** A chat in a terminal: what is shown follows what happens, what is written is sent, with a network or without. */
fun main(arguments: Array<String>): Unit = runBlocking {
    if (arguments.size !in 2..3) {
        System.err.println("usage: chat NAME FOLDER [NODE]")
        exitProcess(2)
    }
    val (name, folder) = arguments
    val node = arguments.getOrElse(2) { "http://127.0.0.1:7400" }
    try {
        ChasquiClient.open(Config(folder, node)).use { client ->
            client.enrol(name)
            coroutineScope {
                Chat(client, this).run()
                coroutineContext.cancelChildren()
            }
        }
    } catch (problem: ChasquiException) {
        System.err.println(problem.message)
        exitProcess(1)
    }
}

/** A new name is registered; a name that is taken is logged in. */
private suspend fun ChasquiClient.enrol(name: String) {
    if (account() != null) return
    val password = ask("password for $name: ") ?: exitProcess(0)
    try {
        register(name, password, "terminal")
    } catch (taken: ChasquiException.NameTaken) {
        login(name, password, "terminal")
    }
}

private class Chat(private val client: ChasquiClient, private val scope: CoroutineScope) {
    private var open: ConversationId? = null
    private var watching: Job? = null

    suspend fun run() {
        val own = client.account() ?: return
        println("You are ${own.name}. /help lists the commands.")
        scope.launch { client.connection.collect { println("  [${it.shown()}]") } }
        scope.launch { announce() }
        scope.launch { client.observeSecurityEvents().collect { println("  [${it.kind}, ${it.at}]") } }
        while (true) {
            val line = ask("")?.trim() ?: return
            try {
                when {
                    line.isEmpty() -> {}
                    line == "/quit" -> return
                    line == "/help" -> println(HELP)
                    line == "/list" -> list()
                    line == "/devices" -> client.devices().forEach { println("  ${it.name}, since ${it.createdAt}") }
                    line.startsWith("/with ") -> talkTo(line.removePrefix("/with ").trim())
                    line.startsWith("/number ") -> number(line.removePrefix("/number ").trim())
                    line.startsWith("/search ") -> search(line.removePrefix("/search "))
                    line.startsWith("/") -> println("  no such command: /help")
                    else -> open?.let { client.sendText(it, line) } ?: println("  to whom? /with NAME")
                }
            } catch (problem: ChasquiException) {
                println("  ${problem.message}")
            }
        }
    }

    private suspend fun talkTo(name: String) {
        val conversation = client.openDirect(client.findUser(name).user)
        open = conversation
        watching?.cancel()
        watching = scope.launch { follow(conversation, name) }
    }

    /** Shows the conversation, and from then on what changes in it. */
    private suspend fun follow(conversation: ConversationId, peer: String) {
        val shown = mutableMapOf<Any, String>()
        client.observeTimeline(conversation, limit = 20).lists.collect { lines ->
            for (line in lines) {
                val (key, text) =
                    when (line) {
                        is TimelineItem.Message -> line.message.id to line.message.shown(peer)
                        is TimelineItem.Gap -> line.seq to "  (a message is missing here)"
                        is TimelineItem.Hole -> line.first to "  (messages are missing here)"
                    }
                if (shown.put(key, text) != text) println(text)
            }
            client.markRead(conversation)
        }
    }

    /** Says who wrote in other conversations. */
    private suspend fun announce() {
        client.observeConversations(limit = 100).lists.collect { lines ->
            for (line in lines) {
                if (line.unread > 0 && line.id != open) println("  [${line.unread} unread from ${line.peerName ?: "somebody"}]")
            }
        }
    }

    private suspend fun list() {
        for (line in client.conversations(limit = 20)) {
            println("  ${line.peerName ?: "somebody"}: ${line.lastMessage?.said ?: "nothing yet"} (${line.unread} unread)")
        }
    }

    private suspend fun number(name: String) {
        val number = client.safetyNumber(client.findUser(name).user)
        println("  ${number.digits} (${number.trust})")
    }

    private suspend fun search(words: String) {
        val hits = client.search(words, limit = 10)
        hits.forEach { println("  ${it.message.createdAt}: ${it.message.said}") }
        if (hits.isEmpty()) println("  nothing found")
    }
}

private val Message.said: String
    get() =
        when (val content = content) {
            is MessageContent.Text -> content.text
            MessageContent.Unsupported -> "(something that this version cannot show)"
            MessageContent.Unreadable -> "(a message that cannot be read)"
        }

private fun Message.shown(peer: String): String =
    if (!isOwn) {
        "$peer: $said"
    } else {
        val mark =
            when (val state = state) {
                MessageState.Pending -> "…"
                MessageState.Sent -> "✓"
                MessageState.Received -> "✓✓"
                MessageState.Read -> "✓✓ read"
                is MessageState.Undelivered -> "undelivered: ${state.reason}"
                is MessageState.Failed -> "failed: ${state.failure}"
            }
        "you: $said  $mark"
    }

private fun ConnectionState.shown(): String =
    when (this) {
        ConnectionState.Offline -> "offline"
        ConnectionState.Connecting -> "connecting"
        ConnectionState.CatchingUp -> "catching up"
        ConnectionState.Online -> "online"
        is ConnectionState.Blocked -> "blocked: $reason"
    }

/** The next line; null at the end. Does not keep anybody else waiting. */
private suspend fun ask(prompt: String): String? = withContext(Dispatchers.IO) {
    print(prompt)
    System.out.flush()
    readlnOrNull()
}
