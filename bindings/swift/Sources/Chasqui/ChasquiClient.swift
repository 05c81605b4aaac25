import Foundation

/// One device of one user: the whole SDK.
///
/// What is asked is durable on this device when a call returns; what is written offline goes out later. Every call throws
/// ``ChasquiError``, or `CancellationError` when its task is cancelled: the wait ends at once then, and what was asked
/// has happened on this device entirely or not at all. Usable from any actor; the last reference that goes closes the client.
///
/// ```swift
/// let client = try await ChasquiClient.open(Config(folder: folder.path, node: "https://relay.example.org"))
/// if try await client.account() == nil {
///     try await client.register(name: "ana", password: "correct horse battery", deviceName: "Ana's phone")
/// }
/// let bo = try await client.findUser(name: "bo")
/// let chat = try await client.openDirect(with: bo.user)
/// try await client.sendText("¡Hola, Bo!", to: chat)
/// ```
public final class ChasquiClient: Sendable {
    let native: NativeClient

    private init(_ native: NativeClient) {
        self.native = native
    }

    // MARK: Opening and closing

    /// Opens the folder and, if a device is enrolled there, begins to connect. Damaged files are replaced first: see
    /// ``salvages()``.
    ///
    /// - Throws: ``ChasquiError/folderInUse`` when another client has it open, ``ChasquiError/incompatible(detail:)`` when a newer
    /// version wrote it, ``ChasquiError/otherDevice`` when it is bound to another device, ``ChasquiError/storageFull``,
    /// ``ChasquiError/invalid(detail:)`` for an unusable folder or address.
    public static func open(_ config: Config) async throws -> ChasquiClient {
        ChasquiClient(try await typed { try await NativeClient.open(config: config) })
    }

    /// Looks at the mail that waits at the node, for a notification: in a notification service extension, beside an app
    /// that has the folder open, is suspended or does not run.
    ///
    /// Takes nothing and changes nothing, here or at the node. `within` is when the answer is of use: an extension has about 30
    /// seconds. The folder lies in an app group, protected with `completeUntilFirstUserAuthentication`.
    ///
    /// - Throws: ``ChasquiError/notEnrolled``, ``ChasquiError/otherDevice``, ``ChasquiError/incompatible(detail:)`` when the app has
    /// to be opened once after an update, ``ChasquiError/corrupt(detail:)``, ``ChasquiError/offline(detail:)`` also when the
    /// time is over, ``ChasquiError/rateLimited(retryAfterMs:)``.
    public static func peek(_ config: Config, within: Duration) async throws -> Peeked {
        let (seconds, attoseconds) = within.components
        let millis = seconds.multipliedReportingOverflow(by: 1_000)
        let withinMs = millis.overflow ? Int64.max : millis.partialValue + attoseconds / 1_000_000_000_000_000
        return try await typed { try await nativePeek(config: config, withinMs: Swift.max(0, withinMs)) }
    }

    /// Before the app is frozen: closes the socket and the database and releases every file lock. Calls throw
    /// ``ChasquiError/suspended`` until ``resume()``.
    public func suspend() async throws {
        try await call { try await $0.suspend() }
    }

    /// Opens everything again, and connects. Throws what ``open(_:)`` throws.
    public func resume() async throws {
        try await call { try await $0.resume() }
    }

    /// The platform says that there is a network (again): tries at once instead of waiting.
    public func networkUp() {
        native.networkUp()
    }

    /// Closes the socket and every file, and ends the client's threads. When it returns, the folder can be opened again. All
    /// calls throw ``ChasquiError/closed`` from here on, and observers end. Cannot be cancelled; closing again changes nothing.
    public func close() async throws {
        try await whole { [native] in try await native.shutDown() }
    }

    // MARK: Who this device belongs to

    /// Whom this folder belongs to; `nil` before anybody was enrolled.
    public func account() async throws -> Account? {
        try await call { try await $0.account() }
    }

    /// Makes a new user with a password, and this device as the first one. After a lost answer, the very same call again
    /// ends the same.
    ///
    /// - Throws: ``ChasquiError/nameTaken``, ``ChasquiError/alreadyEnrolled``, ``ChasquiError/offline(detail:)``,
    /// ``ChasquiError/invalid(detail:)`` for a name or password that the node does not take.
    @discardableResult
    public func register(name: String, password: String, deviceName: String) async throws -> Account {
        try await call { try await $0.register(name: name, password: password, deviceName: deviceName) }
    }

    /// Makes this a further device of a user. Throws ``ChasquiError/unauthorised``, ``ChasquiError/rateLimited(retryAfterMs:)``,
    /// ``ChasquiError/offline(detail:)``.
    @discardableResult
    public func login(name: String, password: String, deviceName: String) async throws -> Account {
        try await call { try await $0.login(name: name, password: password, deviceName: deviceName) }
    }

    /// Enrols by a token (JWT) of the app's own backend: a device of the user whom it names, a new user the first time.
    /// - Throws: ``ChasquiError/invalidToken(detail:)``: get a new one.
    @discardableResult
    public func enrolWithToken(_ token: String, deviceName: String) async throws -> Account {
        try await call { try await $0.enrolWithToken(token: token, deviceName: deviceName) }
    }

    /// Asks for a code to a telephone, as people write its number.
    public func requestCode(phone: String) async throws -> PhoneChallenge {
        try await call { try await $0.requestCode(phone: phone) }
    }

    /// Enrols by the code: a device of the user whom the number belongs to, a new user the first time.
    ///
    /// - Throws: ``ChasquiError/invalidCode``, ``ChasquiError/pinNeeded``, ``ChasquiError/wrongPin``,
    /// ``ChasquiError/attemptsExhausted(retryAfterMs:)``, ``ChasquiError/waitingPeriod(retryAfterMs:)``.
    @discardableResult
    public func enrolWithCode(
        challenge: String, code: String, pin: String? = nil, deviceName: String
    ) async throws -> Account {
        try await call {
            try await $0.enrolWithCode(challenge: challenge, code: code, pin: pin, deviceName: deviceName)
        }
    }

    /// As ``enrolWithCode(challenge:code:pin:deviceName:)``, but begins a new account where the number's earlier one is somebody
    /// else's, or its PIN is lost. Throws ``ChasquiError/waitingPeriod(retryAfterMs:)`` until that is over.
    @discardableResult
    public func replaceAccountWithCode(
        challenge: String, code: String, deviceName: String
    ) async throws -> Account {
        try await call {
            try await $0.replaceAccountWithCode(challenge: challenge, code: code, deviceName: deviceName)
        }
    }

    /// Sets, changes or (`nil`) removes the PIN that guards the account when its number is enrolled again; 4 to 64 bytes.
    public func setPin(_ pin: String?) async throws {
        try await call { try await $0.setPin(pin: pin) }
    }

    /// Revokes this device at the node. The history stays readable, and only the same user can log in again here; ``wipe()``
    /// removes it. Throws ``ChasquiError/offline(detail:)`` when the node cannot be told; the device stays enrolled then.
    public func logout() async throws {
        try await call { try await $0.logout() }
    }

    /// Closes the client and removes its history from this device. Does not tell the node: see ``logout()``.
    public func wipe() async throws {
        try await whole { [native] in try await native.wipe() }
    }

    /// Deletes the user's account at the node, for good and on all devices, then everything in this folder. Repeating it
    /// after a lost answer ends the same.
    ///
    /// - Throws: ``ChasquiError/proofNeeded``, ``ChasquiError/wrongPin``, ``ChasquiError/offline(detail:)``: nothing was deleted, as
    /// far as this device heard.
    public func deleteAccount(proof: AccountProof) async throws {
        try await call { try await $0.deleteAccount(proof: proof) }
    }

    /// The user's own devices.
    public func devices() async throws -> [DeviceInfo] {
        try await call { try await $0.devices() }
    }

    /// Revokes one of the user's own devices: it gets nothing any more, what waited for it is dropped.
    public func revokeDevice(_ device: DeviceId) async throws {
        try await call { try await $0.revokeDevice(device: device) }
    }

    // MARK: Conversations

    /// Who goes by that name. People met before are found offline. Throws ``ChasquiError/notFound(what:)``.
    public func findUser(name: String) async throws -> UserInfo {
        try await call { try await $0.findUser(name: name) }
    }

    /// The direct conversation with somebody, or with oneself, end-to-end encrypted. Works offline; both sides may do it at once.
    public func openDirect(with peer: UserId) async throws -> ConversationId {
        try await call { try await $0.openDirect(peer: peer) }
    }

    /// As ``openDirect(with:)``, of the kind that the app wants. There are two conversations with everybody, and each stays what it is:
    /// the encrypted one, and one that the node, and whoever runs it, can read: for bots, and where messages are moderated.
    public func openDirectAs(_ protection: Protection, with peer: UserId) async throws -> ConversationId {
        try await call { try await $0.openDirectAs(peer: peer, protection: protection) }
    }

    // MARK: Linking devices

    /// On a device that only logged in (``Account/isLinked`` is false): begins to link it. Show the code that this returns, about 80
    /// letters of ASCII, as a QR code or as text, to a device of the same user that is linked, which reads it by
    /// ``linkDevice(code:)``; then wait for ``linkingNumber()``. Called again, it begins anew, with another code.
    ///
    /// - Throws: ``ChasquiError/invalid(detail:)`` when the device is linked, ``ChasquiError/notEnrolled``.
    public func beginLinking() async throws -> String {
        try await call { try await $0.beginLinking() }
    }

    /// On the device to be linked: the number, of six digits, that both devices show once the other has read the code. People
    /// compare them; if they are the same, call ``confirmLinking()`` on both. Throws ``ChasquiError/linkingFailed(detail:)``.
    public func linkingNumber() async throws -> String {
        try await call { try await $0.linkingNumber() }
    }

    /// On a device that is linked: reads the code that another device of the same user shows, and returns the number that the other
    /// one shows as well. Waits until that one is connected, or this is cancelled.
    ///
    /// - Throws: ``ChasquiError/invalid(detail:)`` when that is no such code, ``ChasquiError/notLinked`` when this device is not
    ///   linked itself, ``ChasquiError/linkingFailed(detail:)``.
    public func linkDevice(code: String) async throws -> String {
        try await call { try await $0.linkDevice(code: code) }
    }

    /// On either device: people saw the same number on both. On the device to be linked it returns when that takes part in
    /// encrypted conversations, with what is written from then on. What was written before comes by itself: see
    /// ``observeHistoryTransfer()``.
    ///
    /// - Throws: ``ChasquiError/invalid(detail:)`` when no number was shown, ``ChasquiError/linkingFailed(detail:)``.
    public func confirmLinking() async throws {
        try await call { try await $0.confirmLinking() }
    }

    /// On either device: nothing is to come of it. The other one is told.
    public func cancelLinking() async throws {
        try await call { try await $0.cancelLinking() }
    }

    /// How far this device has come in getting the history from the one that linked it; `nil` when none is on its way.
    public func historyTransfer() async throws -> HistoryTransfer? {
        try await call { try await $0.historyTransfer() }
    }

    /// Watches that: how far it is now, then each change. Steps in between may be skipped.
    public func observeHistoryTransfer() -> TransferObserver {
        TransferObserver(NativeTransfers(native: native.observeHistoryTransfer()))
    }

    // MARK: Who people are

    /// What this user and another one compare to know that nobody stands between them: the same on both sides.
    ///
    /// - Throws: ``ChasquiError/notLinked`` on a device that was not linked, ``ChasquiError/notFound(what:)`` when nothing is known of
    ///   that user's identity, here or at the node, ``ChasquiError/offline(detail:)`` when the node could not be asked,
    ///   ``ChasquiError/invalid(detail:)`` for oneself.
    public func safetyNumber(with user: UserId) async throws -> SafetyNumber {
        try await call { try await $0.safetyNumber(user: user) }
    }

    /// Reads the code that the user's device shows (``SafetyNumber/scannable``). Returns whether it is the right one, and if so notes
    /// that the identity is verified. A wrong one is an alarm: somebody may stand in between; nothing is changed then.
    ///
    /// - Throws: ``ChasquiError/invalid(detail:)`` when that is no such code; else as ``safetyNumber(with:)``.
    public func verify(_ user: UserId, scanned: String) async throws -> Bool {
        try await call { try await $0.verify(user: user, scanned: scanned) }
    }

    /// People have compared the digits, or take that back. After a change of a verified identity either is the word that
    /// ``Trust/changed`` waits for: `false` goes on without verifying. The user's
    /// other linked devices are told; the latest word counts.
    ///
    /// - Throws: ``ChasquiError/notFound(what:)`` when nothing is known of that user's identity.
    public func setVerified(_ isVerified: Bool, for user: UserId) async throws {
        try await call { try await $0.setVerified(user: user, isVerified: isVerified) }
    }

    /// Makes a new identity, for a user who has lost every linked device and has no backup. This device is linked by it; the user's
    /// others are not any more, until they are linked again. Everybody whom the user wrote to is told that the identity changed.
    /// Repeating it after a lost answer ends the same.
    ///
    /// - Throws: ``ChasquiError/proofNeeded``, ``ChasquiError/wrongPin``, ``ChasquiError/attemptsExhausted(retryAfterMs:)``,
    ///   ``ChasquiError/invalidToken(detail:)``, ``ChasquiError/offline(detail:)``: the identity is what it was, as far as this device
    ///   heard.
    public func resetIdentity(proof: AccountProof) async throws {
        try await call { try await $0.resetIdentity(proof: proof) }
    }

    /// What was noticed about identities, and what was refused, after the event of that number; oldest first.
    public func securityEvents(after number: Int64 = 0, limit: Int) async throws -> [SecurityEvent] {
        try await call { try await $0.securityEvents(after: number, limit: limit) }
    }

    /// Watches for security events; begins with the first whose number is above that one: of all that are kept, at most 1,000, when it
    /// is 0.
    public func observeSecurityEvents(after number: Int64 = 0) throws -> SecurityObserver {
        SecurityObserver(try typed { try native.observeSecurityEvents(after: number) })
    }

    // MARK: Messages

    /// Sends a text: it is in the outbox when this returns, and goes out in order as soon as it can. Cancelled, it is there as a
    /// whole or not at all: the timeline says, or ``sendTextAs(_:_:to:)`` repeats it.
    ///
    /// - Throws: ``ChasquiError/invalid(detail:)`` when empty, ``ChasquiError/tooLarge(size:limit:)`` above about 64 KiB,
    /// ``ChasquiError/notFound(what:)`` for an unknown conversation, ``ChasquiError/storageFull``.
    @discardableResult
    public func sendText(_ text: String, to conversation: ConversationId) async throws -> MessageId {
        try await call { try await $0.sendText(conversation: conversation, text: text) }
    }

    /// As ``sendText(_:to:)``, under an id that the app made (``MessageId/random()``): asked again with the same one, whatever became of the
    /// answer to the first call, it sends nothing more.
    public func sendTextAs(_ message: MessageId, _ text: String, to conversation: ConversationId) async throws {
        try await call { try await $0.sendTextAs(message: message, conversation: conversation, text: text) }
    }

    /// Sends a failed message again, behind what waits.
    public func retry(_ message: MessageId) async throws {
        try await call { try await $0.retry(message: message) }
    }

    /// Everything up to `upTo` is read, on all of the user's devices; `nil` = all that is shown. Authors are told.
    public func markRead(_ conversation: ConversationId, upTo: Seq? = nil) async throws {
        try await call { try await $0.markRead(conversation: conversation, upTo: upTo) }
    }

    /// Removes a message from this device only.
    public func delete(_ message: MessageId) async throws {
        try await call { try await $0.delete(message: message) }
    }

    /// The user writes something there, or does not any more (`false`): whoever of the others is connected sees it (``typing``). Call it
    /// at each key; others are told every four seconds at most, and see it end six seconds after the last time. Sending ends it as
    /// well.
    ///
    /// It is of this moment, and best effort: nothing is told while the client is not connected, to strangers, in a conversation with
    /// oneself, or before something was said in an encrypted conversation; nothing is told later.
    ///
    /// - Throws: ``ChasquiError/notFound(what:)``, ``ChasquiError/notEnrolled``, ``ChasquiError/suspended``.
    public func setTyping(_ isTyping: Bool, in conversation: ConversationId) async throws {
        try await call { try await $0.setTyping(conversation: conversation, typing: isTyping) }
    }

    /// The stranger who wrote may go on, and is told what was received and read. Answering accepts as well.
    public func acceptRequest(_ conversation: ConversationId) async throws {
        try await call { try await $0.acceptRequest(conversation: conversation) }
    }

    /// Deletes a request, on all of the user's devices; the stranger is told nothing, and may ask again. With `block`, nothing
    /// more is taken from the stranger. Throws ``ChasquiError/invalid(detail:)`` when the conversation is no request.
    public func declineRequest(_ conversation: ConversationId, block: Bool = false) async throws {
        try await call { try await $0.declineRequest(conversation: conversation, block: block) }
    }

    /// The conversation list, latest activity first.
    public func conversations(limit: Int) async throws -> [ConversationSummary] {
        try await call { try await $0.conversations(limit: limit) }
    }

    /// One line of the list.
    public func conversation(_ id: ConversationId) async throws -> ConversationSummary? {
        try await call { try await $0.conversation(id: id) }
    }

    /// Unread messages in all conversations but requests: the app's badge.
    public func totalUnread() async throws -> Int {
        try await call { try await $0.totalUnread() }
    }

    /// The newest `limit` lines of a timeline, or those before a cursor; oldest first.
    public func timeline(
        _ conversation: ConversationId, before: Cursor? = nil, limit: Int
    ) async throws -> TimelinePage {
        try await call { try await $0.timeline(conversation: conversation, before: before, limit: limit) }
    }

    /// The `limit` lines after a cursor, oldest first.
    public func timelineAfter(
        _ cursor: Cursor, in conversation: ConversationId, limit: Int
    ) async throws -> TimelinePage {
        try await call { try await $0.timelineAfter(conversation: conversation, after: cursor, limit: limit) }
    }

    /// What the node did not keep for this device, because its mailbox was full or it was away for too long; `nil` when
    /// nothing is known to be missing. Timelines show where, as ``TimelineItem/hole(conversation:first:last:reason:)``.
    public func incomplete() async throws -> Incomplete? {
        try await call { try await $0.incomplete() }
    }

    /// One message.
    public func message(_ id: MessageId) async throws -> Message? {
        try await call { try await $0.message(id: id) }
    }

    /// Messages that hold every word of `query`, newest first. The last letters of a word may be missing; scripts without
    /// spaces (Chinese, Japanese, Thai, Korean) are found from one character on.
    public func search(_ query: String, limit: Int) async throws -> [SearchHit] {
        try await call { try await $0.search(query: query, limit: limit) }
    }

    // MARK: Watching

    /// Watches the newest `limit` conversations.
    public func observeConversations(limit: Int) throws -> ConversationsObserver {
        ConversationsObserver(try typed { try native.observeConversations(limit: limit) })
    }

    /// Watches the newest `limit` lines of a timeline.
    public func observeTimeline(_ conversation: ConversationId, limit: Int) throws -> TimelineObserver {
        TimelineObserver(try typed { try native.observeTimeline(conversation: conversation, limit: limit) })
    }

    /// How the connection is now.
    public var connection: ConnectionState { native.connection() }

    /// Watches the connection: the state now, then each change.
    public func observeConnection() -> ConnectionObserver {
        ConnectionObserver(native.observeConnection())
    }

    /// Who else is writing now, and where. Who it is, is the node's word; what is said of it in an encrypted conversation it cannot read.
    public var typing: [Typing] { native.typing() }

    /// Watches who else is writing: everybody who is, then the whole list at each change. Lists in between may be skipped.
    public func observeTyping() -> TypingObserver {
        TypingObserver(native.observeTyping())
    }

    /// What was saved from damaged files so far, oldest first; empty for almost everyone. While damage is repaired, calls
    /// throw ``ChasquiError/suspended``.
    public func salvages() async throws -> [Salvage] {
        try await call { try await $0.salvages() }
    }

    /// Watches for damage; begins with the first report whose number is above `shown`.
    public func observeSalvages(after shown: Int64 = 0) throws -> SalvageObserver {
        SalvageObserver(try typed { try native.observeSalvages(shown: shown) })
    }

    // MARK: What is held

    /// What the node holds about the user, in its words (JSON).
    public func exportFromNode() async throws -> String {
        try await call { try await $0.exportFromNode() }
    }

    private func call<T: Sendable>(
        _ work: @escaping @Sendable (NativeClient) async throws -> T
    ) async throws -> T {
        let native = native
        return try await typed { try await work(native) }
    }
}
