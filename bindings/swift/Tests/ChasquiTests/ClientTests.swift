import Chasqui
import Foundation
import Testing

@Suite struct Clients {
    @Test func whatIsWrittenOfflineGoesOutLater() async throws {
        let pair = try await Pair.meet()
        try await pair.ana.client.until(.online)
        pair.node.stop()
        try await pair.ana.client.until(.offline)
        for text in ["one", "two", "three"] { try await pair.ana.client.sendText(text, to: pair.chat) }
        #expect(try await pair.ana.client.texts(pair.chat) == ["one", "two", "three"])
        let closed = try await pair.ana.reopened().client
        #expect(try await closed.timeline(pair.chat, limit: 10).items.compactMap(\.asMessage?.state)
            == [.pending, .pending, .pending])
        try pair.node.start()
        closed.networkUp()
        pair.bo.client.networkUp()
        try await pair.bo.client.gets("three", in: pair.chat)
        #expect(try await pair.bo.client.texts(pair.chat) == ["one", "two", "three"])
        try await closed.until(pair.chat, "received") { $0.allSatisfy { $0.state == .received } }
    }

    @Test func errorsAreTypedAndCarryTheirData() async throws {
        let pair = try await Pair.meet()
        let ana = pair.ana.client
        await #expect(throws: ChasquiError.notFound(what: "user")) { try await ana.findUser(name: "nobody") }
        await #expect(throws: ChasquiError.alreadyEnrolled) {
            try await ana.register(name: "ana2", password: Node.password, deviceName: "phone")
        }
        await #expect(throws: ChasquiError.folderInUse) { try await ChasquiClient.open(pair.ana.config) }
        do {
            try await ana.sendText(String(repeating: "x", count: 100_000), to: pair.chat)
            Issue.record("it is too large")
        } catch ChasquiError.tooLarge(let size, let limit) {
            #expect(size > 100_000 && limit <= 65_536)
        }
        do {
            try await ana.sendText("hello", to: ConversationId("none"))
            Issue.record("it is no id")
        } catch let error as ChasquiError {
            #expect(error.code == "invalid" && !error.isRetryable)
            #expect(error.localizedDescription.hasPrefix("invalid: "))
        }
        let invalid = await refusal { try await ana.conversations(limit: -1) }
        #expect(invalid?.code == "invalid")
        #expect(throws: ChasquiError.self) { try ana.observeSecurityEvents(after: -1) }
        let other = try await Device.blank(pair.node)
        await #expect(throws: ChasquiError.nameTaken) {
            try await other.client.register(name: "ana", password: "another password", deviceName: "phone")
        }
        await #expect(throws: ChasquiError.unauthorised) {
            try await other.client.login(name: "ana", password: "wrong", deviceName: "phone")
        }
        pair.node.stop()
        let offline = await refusal { try await other.client.login(
            name: "ana", password: Node.password, deviceName: "phone") }
        #expect(offline?.code == "offline" && offline?.isRetryable == true && offline?.retryAfter == nil)
        #expect(ChasquiError.waitingPeriod(retryAfterMs: 1_500).retryAfter == .milliseconds(1_500))
        let binding = Config(folder: try temporaryFolder().path, node: "http://127.0.0.1:1", deviceBinding: Data([1]))
        let short = await refusal { try await ChasquiClient.open(binding) }
        #expect(short?.code == "invalid")
    }

    @Test func aCancelledTaskEndsItsWaitAndFreesTheObserver() async throws {
        let pair = try await Pair.meet()
        let ana = pair.ana.client
        let (seen, say) = AsyncStream.makeStream(of: Void.self)
        let waiting = Task {
            var count = 0
            for try await _ in try ana.observeTimeline(pair.chat, limit: 10) {
                count += 1
                say.yield()
            }
            return count
        }
        // The reset came: it waits for news that never come.
        for await _ in seen { break }
        waiting.cancel()
        #expect(try await within("the wait to end") { try await waiting.value } == 1)
        let states = Task { for try await _ in ana.observeConnection() {} }
        states.cancel()
        try await within("the wait to end") { try await states.value }

        // A call whose answer does not come: the port takes connections, and nobody answers.
        let silent = try Silent()
        let config = Config(folder: try temporaryFolder().path, node: "http://127.0.0.1:\(silent.port)")
        let stuck = try await ChasquiClient.open(config)
        let call = Task { try await stuck.login(name: "ana", password: Node.password, deviceName: "phone") }
        try await within("somebody to knock") { silent.waitForKnock() }
        call.cancel()
        await #expect(throws: CancellationError.self) {
            try await within("the call to end") { try await call.value }
        }
        try await stuck.close()
        // What was cancelled harmed nobody.
        try await ana.sendText("still here", to: pair.chat)
        try await pair.bo.client.gets("still here", in: pair.chat)
    }

    @Test func anObserverThatWasLeftGoesOnAndTakesAnotherLimit() async throws {
        let pair = try await Pair.meet()
        let ana = pair.ana.client
        for number in 1...9 { try await ana.sendText("message \(number)", to: pair.chat) }
        let observer = try ana.observeTimeline(pair.chat, limit: 3)
        for try await lines in observer.lists {
            #expect(lines.count == 3)
            break
        }
        try observer.setLimit(6)
        try await within("six lines") {
            for try await lines in observer.lists where lines.count == 6 { return }
        }
        #expect(throws: ChasquiError.self) { try observer.setLimit(-1) }
    }

    @Test func whatTheAppClosesEndsAndThrowsNothing() async throws {
        let pair = try await Pair.meet()
        let ana = pair.ana.client
        let (begun, begin) = AsyncStream.makeStream(of: Void.self)
        let lists = Task { for try await _ in try ana.observeTimeline(pair.chat, limit: 10).lists { begin.yield() } }
        let states = Task { for try await _ in ana.observeConnection() { begin.yield() } }
        let salvages = Task { for try await _ in try ana.observeSalvages() {} }
        // Both had their first news.
        var beginnings = begun.makeAsyncIterator()
        for _ in 0..<2 { _ = await beginnings.next() }
        try await ana.close()
        for watching in [lists, states, salvages] { try await within("the end") { try await watching.value } }
        // What would begin to watch it ends as well; what is asked is refused.
        for try await _ in try ana.observeConversations(limit: 10) { Issue.record("it is closed") }
        await #expect(throws: ChasquiError.closed) { try await ana.conversations(limit: 10) }
    }

    @Test func closedAndOpenedAgainEverythingIsThere() async throws {
        let pair = try await Pair.meet()
        try await pair.ana.client.sendText("hello", to: pair.chat)
        try await pair.bo.client.gets("hello", in: pair.chat)
        let account = try await pair.bo.client.account()
        let again = try await pair.bo.reopened().client
        #expect(try await again.account() == account)
        #expect(try await again.texts(pair.chat) == ["hello"])
        try await again.untilListed("Ana's name") { $0.map(\.peerName) == ["ana"] }
        try await pair.ana.client.sendText("again", to: pair.chat)
        try await again.gets("again", in: pair.chat)
        try await again.logout()
        try await again.wipe()
        #expect(try FileManager.default.contentsOfDirectory(atPath: pair.bo.config.folder).isEmpty)
    }

    @MainActor @Test func anAppOnTheMainActorWatchesTheList() async throws {
        let pair = try await Pair.meet()
        let observer = try pair.bo.client.observeConversations(limit: 20)
        let task = Task { @MainActor in
            for try await lines in observer.lists {
                MainActor.assertIsolated()
                if lines.first?.unread == 1 { return lines }
            }
            return []
        }
        try await pair.ana.client.sendText("hello", to: pair.chat)
        let lines = try await within("the list") { try await task.value }
        #expect(lines.map(\.id) == [pair.chat])
    }
}
