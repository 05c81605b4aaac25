import im.chasqui.ChasquiClient
import im.chasqui.ChasquiException
import im.chasqui.Config
import im.chasqui.ConversationId
import im.chasqui.Message
import im.chasqui.MessageContent
import im.chasqui.MessageState
import im.chasqui.TimelineItem
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking

/** The actor in Kotlin: orders and answers as in ../../../../src/lib.rs. */
fun main(): Unit = runBlocking {
    var actor: Actor? = null
    for (line in generateSequence(::readLine)) {
        val order = Order(line)
        val answer =
            try {
                when (order["do"]) {
                    "register" -> {
                        val client = ChasquiClient.open(Config(order["folder"], order["node"]))
                        client.register(order["name"], order["password"], "kotlin")
                        actor = Actor(client, order["name"])
                        """{"is":"done"}"""
                    }
                    "write" -> actor!!.write(order["to"], order["count"].toInt())
                    "settle" -> actor!!.settle(order["with"], order["messages"].toInt())
                    else -> """{"is":"failed","code":"unknown","detail":"an unknown order"}"""
                }
            } catch (failure: ChasquiException) {
                """{"is":"failed","code":${quoted(failure.code)},"detail":${quoted(failure.toString())}}"""
            }
        println(answer)
        System.out.flush()
    }
    actor?.client?.close()
}

/** Flat JSON without escapes. */
class Order(line: String) {
    private val fields =
        Regex("\"(\\w+)\":(?:\"([^\"]*)\"|(\\d+))").findAll(line).associate {
            it.groupValues[1] to it.groupValues[2].ifEmpty { it.groupValues[3] }
        }

    operator fun get(name: String): String = fields.getValue(name)
}

class Actor(val client: ChasquiClient, private val name: String) {
    suspend fun write(to: String, count: Int): String {
        val chat = chatWith(to)
        for (number in 1..count) client.sendText(chat, "$name to $to $number")
        return """{"is":"done"}"""
    }

    suspend fun settle(peer: String, count: Int): String {
        val chat = chatWith(peer)
        val timelines = client.observeTimeline(chat, 10_000).lists
        val settled =
            timelines.map { items ->
                client.markRead(chat)
                items.filterIsInstance<TimelineItem.Message>().map { it.message }
            }.first { messages -> messages.size >= count && messages.all { !it.isOwn || it.state == MessageState.Read } }
        return """{"is":"history","lines":[${settled.joinToString(",") { line(it) }}]}"""
    }

    private suspend fun chatWith(peer: String): ConversationId = client.openDirect(client.findUser(peer).user)
}

fun line(message: Message): String {
    val text = (message.content as? MessageContent.Text)?.text ?: message.content.toString()
    return """{"id":${quoted(message.id.value)},"seq":${message.seq?.raw ?: 0},"text":${quoted(text)}}"""
}

fun quoted(text: String): String = "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + "\""
