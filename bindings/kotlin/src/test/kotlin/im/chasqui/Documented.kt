package im.chasqui

import java.io.File
import java.util.logging.Logger

private fun render(lines: List<TimelineItem>) = println(lines)

private fun showCode(code: String) = println(code)

/** What people say who look at both devices. */
private fun isSame(number: String) = println(number).let { true }

/** The Kotlin of docs/bindings.md, so that it compiles; a test of the workspace compares. */
@Suppress("unused")
internal object Documented {
    suspend fun open(folder: File): ChasquiClient {
        val client = ChasquiClient.open(Config(folder.path, "https://relay.example.org"))
        return client
    }

    suspend fun register(client: ChasquiClient) {
        if (client.account() == null) {
            client.register("ana", "correct horse battery", "Ana's phone")
        }
    }

    suspend fun enrolWithToken(client: ChasquiClient, token: String) {
        try {
            val account = client.enrolWithToken(token, "Ana's phone")
            println("welcome, ${account.name}")
        } catch (expired: ChasquiException.InvalidToken) {
            println("ask the backend for another one")
        } catch (error: ChasquiException) {
            if (error.isRetryable) println("later: ${error.message}") else throw error
        }
    }

    suspend fun findAndOpenDirect(client: ChasquiClient): ConversationId {
        val bo = client.findUser("bo")
        val chat = client.openDirect(bo.user)
        return chat
    }

    suspend fun send(client: ChasquiClient, chat: ConversationId): MessageId {
        val message = client.sendText(chat, "¡Hola, Bo!")
        return message
    }

    suspend fun watch(client: ChasquiClient, chat: ConversationId) {
        client.observeTimeline(chat, limit = 50).lists.collect { lines -> render(lines) }
    }

    suspend fun setTyping(client: ChasquiClient, chat: ConversationId, text: String) {
        client.setTyping(chat, text.isNotEmpty())
    }

    suspend fun watchTyping(client: ChasquiClient, chat: ConversationId) {
        client.observeTyping().collect { list ->
            println(if (list.any { it.conversation == chat }) "typing…" else "")
        }
    }

    suspend fun markRead(client: ChasquiClient, chat: ConversationId): Int {
        client.markRead(chat)
        val badge = client.totalUnread()
        return badge
    }

    suspend fun search(client: ChasquiClient) {
        for (hit in client.search("noon", limit = 20)) {
            val around = client.timelineAfter(hit.message.conversation, hit.cursor, limit = 20)
            render(around.items)
        }
    }

    suspend fun suspendAndResume(client: ChasquiClient) {
        client.suspend()
        client.resume()
    }

    suspend fun exportAndClose(client: ChasquiClient) {
        client.export(File("export.jsonl"))
        client.close()
    }

    suspend fun beLinked(client: ChasquiClient) {
        showCode(client.beginLinking())
        if (isSame(client.linkingNumber())) client.confirmLinking() else client.cancelLinking()
    }

    suspend fun link(client: ChasquiClient, code: String) {
        if (isSame(client.linkDevice(code))) client.confirmLinking() else client.cancelLinking()
    }

    suspend fun watchHistory(client: ChasquiClient) {
        client.observeHistoryTransfer().collect { coming ->
            if (coming != null) println("${coming.messages} messages, ${coming.perMille / 10} % done")
        }
    }

    suspend fun compare(client: ChasquiClient, bo: UserId, scanned: String) {
        val number = client.safetyNumber(bo)
        showCode(number.scannable)
        if (!client.verify(bo, scanned)) println("somebody may stand in between")
        client.setVerified(bo, isSame(number.digits))
    }

    suspend fun watchSecurity(client: ChasquiClient, shown: Long) {
        client.observeSecurityEvents(after = shown).collect { event ->
            println("${event.number}: ${event.kind} ${event.user}")
        }
    }

    suspend fun backUp(client: ChasquiClient): String {
        val phrase = ChasquiClient.newRecoveryPhrase()
        client.backUp(File("ana.backup"), phrase)
        return phrase
    }

    suspend fun restore(client: ChasquiClient, password: String, phrase: String) {
        client.restore(File("ana.backup"), phrase)
        client.login("ana", password, "Ana's new phone")
    }

    suspend fun beginAnew(client: ChasquiClient, password: String) {
        client.login("ana", password, "Ana's new phone")
        client.resetIdentity(AccountProof.Password(password))
    }

    suspend fun bind(folder: File): ChasquiClient {
        val binding = DeviceBinding.fromAndroidKeystore()
        val client = ChasquiClient.open(Config(folder.path, "https://relay.example.org", deviceBinding = binding))
        return client
    }

    fun log() {
        ChasquiClient.log(LogLevel.INFO) { record ->
            Logger.getLogger(record.target).log(record.level.javaLevel, record.text)
        }
    }
}
