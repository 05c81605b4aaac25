import Chasqui
import Foundation
import Testing

/// What an app does with the SDK, one test each: the examples of docs/bindings.md.
@Suite struct TenTasks {
    @Test func open() async throws {
        let folder = try temporaryFolder()
        let client = try await ChasquiClient.open(Config(folder: folder.path, node: "http://127.0.0.1:1"))
        #expect(try await client.account() == nil)
        try await client.close()
    }

    @Test func register() async throws {
        let node = try Node.start()
        let device = try await Device.blank(node)
        let account = try await device.client.register(
            name: "ana", password: Node.password, deviceName: "Ana's phone")
        #expect(account.name == "ana")
        #expect(try await device.client.account() == account)
        #expect(try await device.client.devices().map(\.name) == ["Ana's phone"])
    }

    @Test func findAndOpenDirect() async throws {
        let node = try Node.start()
        let ana = try await Device.registered(node, "ana").client
        let bo = try await Device.registered(node, "bo").client
        let found = try await ana.findUser(name: "bo")
        let chat = try await ana.openDirect(with: found.user)
        let back = try await bo.openDirect(with: ana.account()!.user)
        #expect(back == chat, "both sides may begin it")
    }

    @Test func send() async throws {
        let pair = try await Pair.meet()
        let id = try await pair.ana.client.sendText("¡Hola, Bo!", to: pair.chat)
        let received = try await pair.bo.client.gets("¡Hola, Bo!", in: pair.chat)
        #expect(received.id == id && !received.isOwn)
        let sent = try await pair.ana.client.until(pair.chat, "received") { $0.first?.state == .received }
        let bo = try await pair.bo.client.account()!.user
        #expect(sent[0].deliveries.map(\.user) == [bo])
        #expect(sent[0].acceptedAt! >= sent[0].createdAt.addingTimeInterval(-60))
    }

    @Test func observeTimeline() async throws {
        let pair = try await Pair.meet()
        let observer = try pair.ana.client.observeTimeline(pair.chat, limit: 50)
        var updates = observer.makeAsyncIterator()
        var lines: [TimelineItem] = []
        guard case .reset(let items)? = try await updates.next() else {
            Issue.record("a reset comes first")
            return
        }
        lines = items
        #expect(lines.isEmpty)
        for number in 1...3 { try await pair.ana.client.sendText("message \(number)", to: pair.chat) }
        var sawChanges = false
        while lines.compactMap(\.asMessage).filter({ $0.state == .received }).count < 3 {
            let update = try await within("news") { [updates] in
                var updates = updates
                return try await updates.next()
            }
            if case .changes = update! { sawChanges = true }
            update!.apply(to: &lines)
        }
        #expect(sawChanges, "what changed is told, not everything again")
        let asked = try await pair.ana.client.timeline(pair.chat, limit: 50).items
        #expect(lines == asked)
        observer.cancel()
        #expect(try await updates.next() == nil)
    }

    @Test func markRead() async throws {
        let pair = try await Pair.meet()
        try await pair.ana.client.sendText("read me", to: pair.chat)
        try await pair.bo.client.gets("read me", in: pair.chat)
        try await pair.bo.client.untilListed("unread") { $0.first?.unread == 1 }
        #expect(try await pair.bo.client.totalUnread() == 1)
        try await pair.bo.client.markRead(pair.chat)
        let read = try await pair.ana.client.until(pair.chat, "read") { $0.first?.state == .read }
        #expect(read[0].deliveries[0].readAt != nil)
        #expect(try await pair.bo.client.totalUnread() == 0)
    }

    @Test func search() async throws {
        let pair = try await Pair.meet()
        for text in ["see you at noon", "明天见", "a noonday sun", "good night"] {
            try await pair.ana.client.sendText(text, to: pair.chat)
        }
        let found = try await pair.ana.client.search("noon", limit: 10)
        #expect(found.compactMap(\.message.text) == ["a noonday sun", "see you at noon"])
        #expect(try await pair.ana.client.search("明", limit: 10).count == 1)
        let around = try await pair.ana.client.timelineAfter(found[1].cursor, in: pair.chat, limit: 1)
        #expect(around.items.first?.asMessage?.text == "明天见")
    }

    @Test func enrolWithToken() async throws {
        let secret = try temporaryFolder().appendingPathComponent("secret")
        try Data("a secret of the app, for tests only".utf8).write(to: secret)
        let node = try Node.start(config: """
            [jwt]
            issuer = "https://app.example"
            audience = "chasqui"
            algorithms = ["HS256"]
            secret_file = "\(secret.path)"
            age_seconds = 0
            """)
        // As the app's backend makes it: for "ana-of-the-app", to the year 3000.
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2FwcC5leGFtcGxlIiwiYXVkIjoiY2hhc3F1aSIsInN1YiI6ImFuYS1vZi10aGUtYXBwIiwiZXhwIjozMjUwMzY4MDAwMH0.urAH8XHVLoOGDJNh9_jH0WJM9XrV1ZpExE5gTLhDyTk"
        let device = try await Device.blank(node)
        let account = try await device.client.enrolWithToken(token, deviceName: "Ana's phone")
        let further = try await Device.blank(node)
        #expect(try await further.client.enrolWithToken(token, deviceName: "laptop").user == account.user)
        let stranger = try await Device.blank(node)
        let error = await refusal {
            try await stranger.client.enrolWithToken(token + "x", deviceName: "phone")
        }
        #expect(error?.code == "invalid_token")
    }

    @Test func suspendAndResume() async throws {
        let pair = try await Pair.meet()
        let bo = pair.bo.client
        try await bo.until(.online)
        try await bo.suspend()
        #expect(bo.connection == .blocked(reason: .suspended))
        await #expect(throws: ChasquiError.suspended) { try await bo.conversations(limit: 10) }
        #expect(openFiles(in: pair.bo.config.folder).isEmpty)
        try await pair.ana.client.sendText("meanwhile", to: pair.chat)
        try await bo.resume()
        try await bo.gets("meanwhile", in: pair.chat)
    }

    @Test func exportAndClose() async throws {
        let pair = try await Pair.meet()
        let ana = pair.ana.client
        for number in 1...20 { try await ana.sendText("message \(number)", to: pair.chat) }
        try await ana.until(pair.chat, "received") { $0.count == 20 && $0.allSatisfy { $0.state == .received } }
        let file = try temporaryFolder().appendingPathComponent("export.jsonl")
        try await ana.export(to: file)
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
        #expect(lines.filter { $0.contains("message 7") }.count == 1)
        var pages = Data()
        for try await page in ana.exportPages() { pages.append(page) }
        let written = try Data(contentsOf: file)
        #expect(pages.count == written.count)
        #expect(try await ana.exportFromNode().contains("\"name\":\"ana\""))
        let nowhere = URL(fileURLWithPath: "/nowhere/export.jsonl")
        let error = await refusal { try await ana.export(to: nowhere) }
        #expect(error?.code == "invalid")

        try await ana.close()
        try await ana.close()
        await #expect(throws: ChasquiError.closed) { try await ana.conversations(limit: 10) }
        await #expect(throws: ChasquiError.closed) { try await ana.sendText("no", to: pair.chat) }
    }
}
