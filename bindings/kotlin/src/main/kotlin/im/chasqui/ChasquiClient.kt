package im.chasqui

import java.io.Closeable
import java.io.File
import java.io.InputStream
import java.io.OutputStream
import kotlin.time.Duration
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.withContext

/** Of a backup, in bytes. */
private const val READ_AT_ONCE = 64 * 1024

/**
 * One device of one user, offline first.
 *
 * What is asked is durable on this device when the call returns; what is written offline goes out later. Every call can be made
 * from any thread and any dispatcher, and fails with a [ChasquiException] and nothing else. Cancelling a call stops waiting for
 * it: what was asked has then happened on this device entirely or not at all. After [close] everything fails with [ChasquiException.Closed], and while the
 * client is suspended with [ChasquiException.Suspended].
 */
public class ChasquiClient private constructor(private val native: NativeClient) {
    private val calls = Calls()

    public companion object {
        /**
         * Opens the folder and, if a device is enrolled there, begins to connect. Damaged files are replaced first: see
         * [salvages].
         *
         * @throws ChasquiException.FolderInUse when another client has it open
         * @throws ChasquiException.Incompatible when a newer version wrote it
         * @throws ChasquiException.OtherDevice when it is bound to another device
         * @throws ChasquiException.StorageFull
         * @throws ChasquiException.Invalid for an unusable folder or address
         */
        public suspend fun open(config: Config): ChasquiClient {
            var opened: NativeClient? = null
            try {
                return ChasquiClient(Calls().call { NativeClient.open(config).also { opened = it } })
            } catch (cancelled: CancellationException) {
                // Nobody will close what was opened all the same.
                opened?.let { native -> withContext(NonCancellable) { ChasquiClient(native).close() } }
                throw cancelled
            }
        }

        /**
         * Looks at the mail that waits at the node, for a notification: beside an app that has the folder open, is suspended or
         * does not run. Takes nothing and changes nothing, here or at the node.
         *
         * @param within when the answer is of use: a push service has about 10 seconds
         * @throws ChasquiException.NotEnrolled when nobody is logged in there
         * @throws ChasquiException.OtherDevice when the folder is bound to another device
         * @throws ChasquiException.Incompatible when the app has to be opened once after an update
         * @throws ChasquiException.Corrupt
         * @throws ChasquiException.Offline also when the time is over
         * @throws ChasquiException.RateLimited
         */
        public suspend fun peek(config: Config, within: Duration): Peeked =
            Calls().call { nativePeek(config, within.inWholeMilliseconds.coerceAtLeast(0)) }

        /**
         * A new recovery phrase for [backUp]: ten groups of five digits, for people to write down. Who has it reads every backup that
         * was made with it; without it a backup is of no use to anybody.
         *
         * @throws ChasquiException.Internal when the system has no random numbers
         */
        @JvmStatic
        public fun newRecoveryPhrase(): String = Calls().typed { nativeNewRecoveryPhrase() }

        /**
         * Hands what the SDK logs from now on, of all clients of this process, to [sink]: of [level] and of what is worse.
         *
         * On Android: `ChasquiClient.log(LogLevel.INFO) { Log.println(it.level.logcatPriority, "chasqui", it.text) }`.
         *
         * May be called before or after clients are opened. Another call puts another sink in its place; the one before still
         * gets what was logged until then. Records come in order, one at a time, on a background thread. A sink that takes
         * long delays nobody but itself: when 1,000 records wait, further ones are dropped, and a record says how many.
         * Nothing that people wrote is logged, no name, no token and no key.
         */
        @JvmStatic
        public fun log(level: LogLevel, sink: LogSink): Unit = Listening.begin(level, sink)

        /** Logs nothing any more, which costs nothing. */
        @JvmStatic
        public fun stopLog(): Unit = Listening.end()
    }

    /** Whom this folder belongs to; null before the first enrolment. */
    public suspend fun account(): Account? = calls.call { native.account() }

    /**
     * Makes a new user with this as the first device. Repeating it after a lost answer is harmless.
     *
     * @param deviceName for people, who see it in [devices]
     * @throws ChasquiException.NameTaken
     * @throws ChasquiException.Invalid for a name or password that the node does not accept
     * @throws ChasquiException.AlreadyEnrolled
     * @throws ChasquiException.RateLimited
     * @throws ChasquiException.Offline
     */
    public suspend fun register(name: String, password: String, deviceName: String): Account =
        calls.call { native.register(name, password, deviceName) }

    /**
     * Makes this a further device of an existing user. It gets what is sent from here on.
     *
     * @throws ChasquiException.Unauthorised for a wrong name or password
     * @throws ChasquiException.Forbidden when the user has as many devices as are allowed
     * @throws ChasquiException.AlreadyEnrolled
     * @throws ChasquiException.RateLimited after too many guesses
     * @throws ChasquiException.Offline
     */
    public suspend fun login(name: String, password: String, deviceName: String): Account =
        calls.call { native.login(name, password, deviceName) }

    /**
     * Makes this a device of the user whom a token (JWT) of the app's own backend names; the first time makes the user.
     * Repeating it after a lost answer, with this token or a newer one, is harmless.
     *
     * @throws ChasquiException.InvalidToken get a new one from the backend
     * @throws ChasquiException.Unavailable when the node cannot get the backend's keys
     * @throws ChasquiException.Forbidden when the user has as many devices as are allowed or the folder holds somebody
     *   else's history
     * @throws ChasquiException.Incompatible when the node takes no tokens
     * @throws ChasquiException.AlreadyEnrolled
     * @throws ChasquiException.RateLimited
     * @throws ChasquiException.Offline
     */
    public suspend fun enrolWithToken(token: String, deviceName: String): Account =
        calls.call { native.enrolWithToken(token, deviceName) }

    /**
     * Asks for a code to this telephone number. The answer is the same whether anybody has an account by it or not.
     *
     * @throws ChasquiException.Invalid for what is no number
     * @throws ChasquiException.RateLimited when a code is on its way already or there were too many
     * @throws ChasquiException.Unavailable when it could not be sent
     * @throws ChasquiException.Incompatible when the node enrols no telephones
     * @throws ChasquiException.Offline
     */
    public suspend fun requestCode(phone: String): PhoneChallenge = calls.call { native.requestCode(phone) }

    /**
     * Makes this a device of the user whom the telephone number of the challenge belongs to; the first time makes the
     * user. Where the user has set a PIN, it is needed. Repeating it after a lost answer is harmless.
     *
     * A number whose account has no PIN and is in use is not given away at once: see [ChasquiException.WaitingPeriod].
     * After that time it belongs to a new user. Whoever has the earlier device at hand can set a PIN there, and use it here.
     *
     * @param challenge [PhoneChallenge.id]
     * @throws ChasquiException.InvalidCode
     * @throws ChasquiException.AttemptsExhausted
     * @throws ChasquiException.PinNeeded
     * @throws ChasquiException.WrongPin
     * @throws ChasquiException.WaitingPeriod
     * @throws ChasquiException.Forbidden when the user has as many devices as are allowed or the folder holds somebody
     *   else's history
     * @throws ChasquiException.AlreadyEnrolled
     * @throws ChasquiException.RateLimited
     * @throws ChasquiException.Offline
     */
    public suspend fun enrolWithCode(
        challenge: String,
        code: String,
        deviceName: String,
        pin: String? = null,
    ): Account = calls.call { native.enrolWithCode(challenge, code, pin, deviceName) }

    /**
     * As [enrolWithCode], for whom the PIN of the number's earlier account is lost, or was never theirs: after the waiting
     * period the number goes to a new user, and the earlier account stays without it.
     */
    public suspend fun replaceAccountWithCode(challenge: String, code: String, deviceName: String): Account =
        calls.call { native.replaceAccountWithCode(challenge, code, deviceName) }

    /**
     * Sets or changes the PIN that protects the account when its telephone number is enrolled again; null removes it.
     *
     * @throws ChasquiException.Invalid for a PIN that is not 4 to 64 bytes long
     * @throws ChasquiException.NotEnrolled
     * @throws ChasquiException.RateLimited
     * @throws ChasquiException.Offline
     */
    public suspend fun setPin(pin: String?): Unit = calls.call { native.setPin(pin) }

    /**
     * Revokes this device at the node. The history stays readable, and only the same user can log in again here; [wipe]
     * removes it.
     *
     * @throws ChasquiException.Offline when the node cannot be told; the device stays enrolled then
     */
    public suspend fun logout(): Unit = calls.call { native.logout() }

    /** Closes the client and removes its history from this device. Does not tell the node: see [logout]. */
    public suspend fun wipe() {
        calls.call { native.wipe() }
        free()
    }

    /**
     * Deletes the user's account at the node, for good and on all devices, then everything in this folder, and closes the
     * client. What was sent is still delivered; what waits in the outbox is not sent any more.
     *
     * Repeating it after a lost answer or a crash ends the same: as long as this folder is enrolled, call it again. Other
     * devices of the user are shut out ([Blocked.REVOKED]); this call removes their folders, too.
     *
     * @throws ChasquiException.ProofNeeded here and below: nothing was deleted, as far as this device heard
     * @throws ChasquiException.WrongPin
     * @throws ChasquiException.AttemptsExhausted
     * @throws ChasquiException.InvalidToken
     * @throws ChasquiException.RateLimited
     * @throws ChasquiException.NotEnrolled
     * @throws ChasquiException.Offline
     */
    public suspend fun deleteAccount(proof: AccountProof) {
        calls.call { native.deleteAccount(proof) }
        free()
    }

    /** The user's own devices. */
    public suspend fun devices(): List<DeviceInfo> = calls.call { native.devices() }

    /** Revokes one of the user's own devices: it gets nothing any more, what waited for it is dropped. */
    public suspend fun revokeDevice(device: DeviceId): Unit = calls.call { native.revokeDevice(device) }

    /**
     * Who goes by that name. People met before are found offline.
     *
     * @throws ChasquiException.NotFound
     * @throws ChasquiException.Offline
     */
    public suspend fun findUser(name: String): UserInfo = calls.call { native.findUser(name) }

    /**
     * The direct conversation with somebody, or with oneself, end-to-end encrypted. Works offline; both sides may do it
     * at once.
     */
    public suspend fun openDirect(peer: UserId): ConversationId = calls.call { native.openDirect(peer) }

    /**
     * As [openDirect], of the kind that the app wants. There are two conversations with everybody, and each stays what
     * it is: the encrypted one, and one that the node, and whoever runs it, can read: for bots, and where messages are
     * moderated.
     */
    public suspend fun openDirectAs(peer: UserId, protection: Protection): ConversationId =
        calls.call { native.openDirectAs(peer, protection) }

    /**
     * On a device that only logged in ([Account.isLinked] is false): begins to link it. Show the code that this returns,
     * about 80 letters of ASCII, as a QR code or as text, to a device of the same user that is linked, which reads it by
     * [linkDevice]; then wait for [linkingNumber]. Called again, it begins anew, with another code.
     *
     * @throws ChasquiException.Invalid when the device is linked
     * @throws ChasquiException.NotEnrolled
     */
    public suspend fun beginLinking(): String = calls.call { native.beginLinking() }

    /**
     * On the device to be linked: the number, of six digits, that both devices show once the other has read the code.
     * People compare them; if they are the same, call [confirmLinking] on both.
     *
     * @throws ChasquiException.LinkingFailed
     */
    public suspend fun linkingNumber(): String = calls.call { native.linkingNumber() }

    /**
     * On a device that is linked: reads the code that another device of the same user shows, and returns the number that
     * the other one shows as well. Waits until that one is connected, or this is cancelled.
     *
     * @throws ChasquiException.Invalid when that is no such code
     * @throws ChasquiException.NotLinked when this device is not linked itself
     * @throws ChasquiException.LinkingFailed
     */
    public suspend fun linkDevice(code: String): String = calls.call { native.linkDevice(code) }

    /**
     * On either device: people saw the same number on both. On the device to be linked it returns when that takes part in
     * encrypted conversations, with what is written from then on. What was written before comes by itself: see
     * [observeHistoryTransfer].
     *
     * @throws ChasquiException.Invalid when no number was shown
     * @throws ChasquiException.LinkingFailed
     */
    public suspend fun confirmLinking(): Unit = calls.call { native.confirmLinking() }

    /** On either device: nothing is to come of it. The other one is told. */
    public suspend fun cancelLinking(): Unit = calls.call { native.cancelLinking() }

    /** How far this device has come in getting the history from the one that linked it; null when none is on its way. */
    public suspend fun historyTransfer(): HistoryTransfer? = calls.call { native.historyTransfer() }

    /** Watches that: how far it is now, then each change. Steps in between may be skipped. Ends with the client. */
    public fun observeHistoryTransfer(): Flow<HistoryTransfer?> =
        watched(calls, native::observeHistoryTransfer, { it.next() }, { it.cancel(); it.close() }).map { it.firstOrNull() }

    /**
     * What this user and [user] compare to know that nobody stands between them: the same on both sides.
     *
     * @throws ChasquiException.NotLinked on a device that was not linked
     * @throws ChasquiException.NotFound when nothing is known of that user's identity, here or at the node
     * @throws ChasquiException.Offline when the node could not be asked
     * @throws ChasquiException.Invalid for oneself
     */
    public suspend fun safetyNumber(user: UserId): SafetyNumber = calls.call { native.safetyNumber(user) }

    /**
     * Reads the code that [user]'s device shows ([SafetyNumber.scannable]). Returns whether it is the right one, and if so notes
     * that the identity is verified. A wrong one is an alarm: somebody may stand in between; nothing is changed then.
     *
     * @throws ChasquiException.Invalid when that is no such code; else as [safetyNumber]
     */
    public suspend fun verify(user: UserId, scanned: String): Boolean = calls.call { native.verify(user, scanned) }

    /**
     * People have compared the digits, or take that back. After a change of a verified identity either is the word that
     * [Trust.CHANGED] waits for: false goes on without verifying. The user's other linked
     * devices are told; the latest word counts.
     *
     * @throws ChasquiException.NotFound when nothing is known of that user's identity
     */
    public suspend fun setVerified(user: UserId, isVerified: Boolean): Unit =
        calls.call { native.setVerified(user, isVerified) }

    /**
     * Makes a new identity, for a user who has lost every linked device and has no backup. This device is linked by it; the
     * user's others are not any more, until they are linked again. Everybody whom the user wrote to is told that the identity
     * changed. Repeating it after a lost answer ends the same.
     *
     * @throws ChasquiException.ProofNeeded here and below: the identity is what it was, as far as this device heard
     * @throws ChasquiException.WrongPin
     * @throws ChasquiException.AttemptsExhausted
     * @throws ChasquiException.InvalidToken
     * @throws ChasquiException.RateLimited
     * @throws ChasquiException.NotEnrolled
     * @throws ChasquiException.Offline
     */
    public suspend fun resetIdentity(proof: AccountProof): Unit = calls.call { native.resetIdentity(proof) }

    /** What was noticed about identities, and what was refused, after the event of that number; oldest first. */
    public suspend fun securityEvents(limit: Int, after: Long = 0): List<SecurityEvent> =
        calls.call { native.securityEvents(after, limit) }

    /**
     * Watches for security events; begins with the first whose number is above [after]: of all that are kept, at most 1,000, when
     * it is 0. Ends with the client.
     */
    public fun observeSecurityEvents(after: Long = 0): Flow<SecurityEvent> =
        watched(calls, { native.observeSecurityEvents(after) }, { it.next() }, { it.cancel(); it.close() })

    /**
     * Sends a text: it is in the outbox when this returns, and goes out in order as soon as it can. Cancelled, it is
     * there as a whole or not at all: the timeline says, or [sendTextAs] repeats it.
     *
     * @throws ChasquiException.Invalid when empty
     * @throws ChasquiException.TooLarge above the limit of about 64 KiB
     * @throws ChasquiException.NotFound for an unknown conversation
     * @throws ChasquiException.StorageFull
     */
    public suspend fun sendText(conversation: ConversationId, text: String): MessageId =
        calls.call { native.sendText(conversation, text) }

    /**
     * As [sendText], under an id that the app made ([MessageId.random]): asked again with the same one, whatever became of the answer to
     * the first call, it sends nothing more. For work that a system repeats, such as a job of Android's WorkManager.
     */
    public suspend fun sendTextAs(message: MessageId, conversation: ConversationId, text: String): Unit =
        calls.call { native.sendTextAs(message, conversation, text) }

    /** Sends a failed message again, behind what waits. */
    public suspend fun retry(message: MessageId): Unit = calls.call { native.retry(message) }

    /** Everything up to [upTo] is read, on all of the user's devices; null = all that is shown. Authors are told. */
    public suspend fun markRead(conversation: ConversationId, upTo: Seq? = null): Unit =
        calls.call { native.markRead(conversation, upTo) }

    /** Removes a message from this device only. */
    public suspend fun delete(message: MessageId): Unit = calls.call { native.delete(message) }

    /**
     * The user writes something here, or does not any more (false): whoever of the others is connected sees it ([typing]). Call it
     * at each key; others are told every four seconds at most, and see it end six seconds after the last time. Sending ends it
     * as well.
     *
     * It is of this moment, and best effort: nothing is told while the client is not connected, to strangers, in a conversation
     * with oneself, or before something was said in an encrypted conversation; nothing is told later.
     *
     * @throws ChasquiException.NotFound
     * @throws ChasquiException.NotEnrolled
     */
    public suspend fun setTyping(conversation: ConversationId, isTyping: Boolean): Unit =
        calls.call { native.setTyping(conversation, isTyping) }

    /**
     * Who else is writing, and where: now, and from now on. Who it is, is the node's word; what is said of it in an encrypted
     * conversation it cannot read. Collecting it never ends by itself; that of a closed client waits.
     */
    public val typing: StateFlow<List<Typing>> = now(emptyList(), native::typing, observeTyping())

    /** Watches that: everybody who is, then the whole list at each change. Lists in between may be skipped. Ends with the client. */
    public fun observeTyping(): Flow<List<Typing>> =
        watched(calls, native::observeTyping, { it.next() }, { it.cancel(); it.close() })

    /**
     * The stranger who wrote may go on, and is told now that what was written was received, and read if it was. Works
     * offline; again, or where there is no request, it changes nothing. Answering accepts as well.
     *
     * @throws ChasquiException.NotFound
     */
    public suspend fun acceptRequest(conversation: ConversationId): Unit =
        calls.call { native.acceptRequest(conversation) }

    /**
     * Deletes a request, on all of the user's devices; the stranger is told nothing, and may ask again. With [block], nothing
     * more is taken from the stranger. Accepting or answering later undoes it.
     *
     * @throws ChasquiException.NotFound
     * @throws ChasquiException.Invalid when the conversation is no request
     */
    public suspend fun declineRequest(conversation: ConversationId, block: Boolean = false): Unit =
        calls.call { native.declineRequest(conversation, block) }

    /** The conversation list, latest activity first. */
    public suspend fun conversations(limit: Int): List<ConversationSummary> =
        calls.call { native.conversations(limit) }

    /** One line of the list. */
    public suspend fun conversation(id: ConversationId): ConversationSummary? =
        calls.call { native.conversation(id) }

    /** Unread messages in all conversations but requests: the app's badge. */
    public suspend fun totalUnread(): Int = calls.call { native.totalUnread() }

    /** The newest [limit] lines of a timeline, or those before a cursor; oldest first. */
    public suspend fun timeline(conversation: ConversationId, limit: Int, before: Cursor? = null): TimelinePage =
        calls.call { native.timeline(conversation, before, limit) }

    /** The [limit] lines after a cursor, oldest first. */
    public suspend fun timelineAfter(conversation: ConversationId, after: Cursor, limit: Int): TimelinePage =
        calls.call { native.timelineAfter(conversation, after, limit) }

    /**
     * What the node did not keep for this device, because its mailbox was full or it was away for too long; null when
     * nothing is known to be missing. Timelines show where, as [TimelineItem.Hole].
     */
    public suspend fun incomplete(): Incomplete? = calls.call { native.incomplete() }

    /** One message. */
    public suspend fun message(id: MessageId): Message? = calls.call { native.message(id) }

    /**
     * Messages that hold every word of [query], newest first. The last letters of a word may be missing; scripts without
     * spaces (Chinese, Japanese, Thai, Korean) are found from one character on.
     */
    public suspend fun search(query: String, limit: Int): List<SearchHit> = calls.call { native.search(query, limit) }

    /** Watches the newest [limit] conversations. */
    public fun observeConversations(limit: Int): ConversationsObserver =
        ConversationsObserver(calls, limit, native::observeConversations)

    /** Watches the newest [limit] lines of a timeline. */
    public fun observeTimeline(conversation: ConversationId, limit: Int): TimelineObserver =
        TimelineObserver(calls, limit) { native.observeTimeline(conversation, it) }

    /** How the connection is: now, and from now on. Collecting it never ends by itself; that of a closed client waits. */
    public val connection: StateFlow<ConnectionState> = now(ConnectionState.Offline, native::connection, observeConnection())

    /** Watches the connection: the state now, then each change. States in between may be skipped. Ends with the client. */
    public fun observeConnection(): Flow<ConnectionState> =
        watched(calls, native::observeConnection, { it.next() }, { it.cancel(); it.close() })

    /**
     * What was saved from damaged files so far, oldest first; empty for almost everyone.
     *
     * Damaged files are set aside under other names, and what can be read of them goes into a new history, when the folder
     * is opened or whenever damage is met. While that runs, queries fail with [ChasquiException.Suspended].
     */
    public suspend fun salvages(): List<Salvage> = calls.call { native.salvages() }

    /** Watches for damage; begins with the first report whose number is above [shown]. Ends with the client. */
    public fun observeSalvages(shown: Long = 0): Flow<Salvage> =
        watched(calls, { native.observeSalvages(shown) }, { it.next() }, { it.cancel(); it.close() })

    /** The platform says that there is a network (again): tries at once instead of waiting. */
    public fun networkUp() {
        try {
            calls.typed { native.networkUp() }
        } catch (closed: ChasquiException.Closed) {
            // There is nothing to wake.
        }
    }

    /**
     * Before the app is frozen: closes the socket and the database and releases every file lock. Calls fail with
     * [ChasquiException.Suspended] until [resume]; observers wait.
     */
    public suspend fun suspend(): Unit = calls.call { native.suspend() }

    /** Opens everything again, and connects. Fails as [open] does. */
    public suspend fun resume(): Unit = calls.call { native.resume() }

    /**
     * Closes the socket and every file, and ends the library's threads for this client; flows end. When it returns, the folder
     * can be opened again. Cannot be cancelled; again, it does nothing.
     */
    public suspend fun close() {
        if (calls.close()) {
            withContext(NonCancellable + Dispatchers.Default) {
                calls.guarded { native.shutDown() }
                native.close()
            }
        }
    }

    /**
     * Writes everything that this device holds of the account into [into], which is flushed and stays open: lines of JSON, a
     * page at a time, however long the history is. What arrives meanwhile may be in it or not. An export without a last line of
     * kind `end` did not end.
     *
     * For a content URI of Android: `contentResolver.openOutputStream(uri)`.
     *
     * @throws java.io.IOException of [into]
     */
    public suspend fun export(into: OutputStream) {
        calls.typed { native.exportPages() }.use { pages -> write(into) { pages.next() } }
    }

    /** As [export], into a file that is made or replaced. */
    public suspend fun export(into: File): Unit = used({ into.outputStream().buffered() }) { export(it) }

    /**
     * Writes a backup of everything that this device holds, sealed by [phrase], into [into], which is flushed and stays open: a
     * page at a time, however long the history is. What arrives meanwhile may be in it or not. What was cut off or changed
     * cannot be taken for a whole one.
     *
     * @param phrase from [newRecoveryPhrase]; spaces and dashes do not matter
     * @throws ChasquiException.WrongPhrase for what is no phrase
     * @throws ChasquiException.NotEnrolled in a folder that is nobody's
     * @throws java.io.IOException of [into]
     */
    public suspend fun backUp(into: OutputStream, phrase: String) {
        calls.typed { native.backupPages(phrase) }.use { pages -> write(into) { pages.next() } }
    }

    /** As [backUp], into a file that is made or replaced. */
    public suspend fun backUp(into: File, phrase: String) {
        // No file is touched for what is no phrase.
        calls.typed { native.backupPages(phrase) }.use { pages ->
            used({ into.outputStream().buffered() }) { stream -> write(stream) { pages.next() } }
        }
    }

    /**
     * Puts what is in a backup into this folder: one that is new, before or after the user logs in, or one in which the same user's
     * history is. Restored before the login, the identity is there with the login, and the device takes part in encrypted
     * conversations at once. Restoring again, or over what is newer, changes nothing that is there.
     *
     * What was read of a damaged backup before the damage stays. [from] is read to its end, and stays open.
     *
     * @throws ChasquiException.WrongPhrase
     * @throws ChasquiException.Invalid when it is damaged, cut off, no backup, or somebody else's
     * @throws ChasquiException.StorageFull
     * @throws java.io.IOException of [from]
     */
    public suspend fun restore(from: InputStream, phrase: String) {
        calls.typed { native.beginRestore(phrase) }.use { restore ->
            val bytes = ByteArray(READ_AT_ONCE)
            while (true) {
                val read = withContext(Dispatchers.IO) { from.read(bytes) }
                if (read < 0) break
                calls.call { restore.push(bytes.copyOf(read)) }
            }
            calls.call { restore.finish() }
        }
    }

    /** As [restore], from a file. */
    public suspend fun restore(from: File, phrase: String): Unit = used({ from.inputStream() }) { restore(it, phrase) }

    /**
     * What the node holds about the user, in its words (JSON).
     *
     * @throws ChasquiException.NotEnrolled
     * @throws ChasquiException.Offline
     */
    public suspend fun exportFromNode(): String = calls.call { native.exportFromNode() }

    private fun <T : Any> now(closed: T, ask: () -> T, news: Flow<T>): StateFlow<T> =
        Now({ calls.unlessClosed { calls.typed(ask) } ?: closed }, news)

    private suspend fun write(into: OutputStream, next: suspend () -> ByteArray?) {
        while (true) {
            val page = calls.call(next) ?: break
            withContext(Dispatchers.IO) { into.write(page) }
        }
        withContext(Dispatchers.IO) { into.flush() }
    }

    /** Opens and closes it where blocking is allowed. */
    private suspend fun <T : Closeable> used(open: () -> T, body: suspend (T) -> Unit) {
        val stream = withContext(Dispatchers.IO) { open() }
        try {
            body(stream)
        } finally {
            withContext(NonCancellable + Dispatchers.IO) { stream.close() }
        }
    }

    /** The library has closed it. */
    private fun free() {
        if (calls.close()) native.close()
    }
}

/** Runs [block] with the client, and closes it however the block ends. */
public suspend inline fun <T> ChasquiClient.use(block: (ChasquiClient) -> T): T =
    try {
        block(this)
    } finally {
        close()
    }
