import Chasqui
import Foundation

private func render(_ lines: [TimelineItem]) { print(lines) }

private func showCode(_ code: String) { print(code) }

/// What people say who look at both devices.
private func isSame(_ number: String) -> Bool {
    print(number)
    return true
}

/// The Swift of docs/bindings.md, so that it compiles; a test of the workspace compares.
enum Documented {
    static func open(folder: URL) async throws -> ChasquiClient {
        let client = try await ChasquiClient.open(Config(folder: folder.path, node: "https://relay.example.org"))
        return client
    }

    static func register(_ client: ChasquiClient) async throws {
        if try await client.account() == nil {
            try await client.register(name: "ana", password: "correct horse battery", deviceName: "Ana's phone")
        }
    }

    static func enrolWithToken(_ client: ChasquiClient, token: String) async throws {
        do {
            let account = try await client.enrolWithToken(token, deviceName: "Ana's phone")
            print("welcome, \(account.name)")
        } catch ChasquiError.invalidToken {
            print("ask the backend for another one")
        } catch let error as ChasquiError where error.isRetryable {
            print("later: \(error)")
        }
    }

    static func findAndOpenDirect(_ client: ChasquiClient) async throws -> ConversationId {
        let bo = try await client.findUser(name: "bo")
        let chat = try await client.openDirect(with: bo.user)
        return chat
    }

    static func send(_ client: ChasquiClient, chat: ConversationId) async throws -> MessageId {
        let message = try await client.sendText("¡Hola, Bo!", to: chat)
        return message
    }

    static func watch(_ client: ChasquiClient, chat: ConversationId) async throws {
        for try await lines in try client.observeTimeline(chat, limit: 50).lists {
            render(lines)
        }
    }

    static func setTyping(_ client: ChasquiClient, chat: ConversationId, text: String) async throws {
        try await client.setTyping(!text.isEmpty, in: chat)
    }

    static func watchTyping(_ client: ChasquiClient, chat: ConversationId) async throws {
        for try await list in client.observeTyping() {
            print(list.contains { $0.conversation == chat } ? "typing…" : "")
        }
    }

    static func markRead(_ client: ChasquiClient, chat: ConversationId) async throws -> Int {
        try await client.markRead(chat)
        let badge = try await client.totalUnread()
        return badge
    }

    static func search(_ client: ChasquiClient) async throws {
        for hit in try await client.search("noon", limit: 20) {
            let around = try await client.timelineAfter(hit.cursor, in: hit.message.conversation, limit: 20)
            render(around.items)
        }
    }

    static func suspendAndResume(_ client: ChasquiClient) async throws {
        try await client.suspend()
        try await client.resume()
    }

    static func exportAndClose(_ client: ChasquiClient) async throws {
        try await client.export(to: URL(fileURLWithPath: "export.jsonl"))
        try await client.close()
    }

    static func beLinked(_ client: ChasquiClient) async throws {
        showCode(try await client.beginLinking())
        if isSame(try await client.linkingNumber()) {
            try await client.confirmLinking()
        } else {
            try await client.cancelLinking()
        }
    }

    static func link(_ client: ChasquiClient, code: String) async throws {
        if isSame(try await client.linkDevice(code: code)) {
            try await client.confirmLinking()
        } else {
            try await client.cancelLinking()
        }
    }

    static func watchHistory(_ client: ChasquiClient) async throws {
        for try await coming in client.observeHistoryTransfer() {
            if let coming { print("\(coming.messages) messages, \(coming.perMille / 10) % done") }
        }
    }

    static func compare(_ client: ChasquiClient, bo: UserId, scanned: String) async throws {
        let number = try await client.safetyNumber(with: bo)
        showCode(number.scannable)
        if try await !client.verify(bo, scanned: scanned) { print("somebody may stand in between") }
        try await client.setVerified(isSame(number.digits), for: bo)
    }

    static func watchSecurity(_ client: ChasquiClient, shown: Int64) async throws {
        for try await event in try client.observeSecurityEvents(after: shown) {
            print(event.number, event.kind, event.user as Any)
        }
    }

    static func backUp(_ client: ChasquiClient) async throws -> String {
        let phrase = try ChasquiClient.newRecoveryPhrase()
        try await client.backUp(to: URL(fileURLWithPath: "ana.backup"), phrase: phrase)
        return phrase
    }

    static func restore(_ client: ChasquiClient, password: String, phrase: String) async throws {
        try await client.restore(from: URL(fileURLWithPath: "ana.backup"), phrase: phrase)
        try await client.login(name: "ana", password: password, deviceName: "Ana's new phone")
    }

    static func beginAnew(_ client: ChasquiClient, password: String) async throws {
        try await client.login(name: "ana", password: password, deviceName: "Ana's new phone")
        try await client.resetIdentity(proof: .password(password: password))
    }

    #if canImport(Security)
    static func bind(folder: URL) async throws -> ChasquiClient {
        let binding = try await DeviceBinding.fromKeychain()
        let config = Config(folder: folder.path, node: "https://relay.example.org", deviceBinding: binding)
        return try await ChasquiClient.open(config)
    }
    #endif

    static func log() {
        ChasquiClient.log(.info) { record in
            print(record.level, record.text)
        }
    }
}
