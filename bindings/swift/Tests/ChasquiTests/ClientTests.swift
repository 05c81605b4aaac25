import Chasqui
import Foundation
import Testing

/// Files below a folder that this process has open.
func openFiles(in folder: String) -> [String] {
    openFiles().filter { $0.hasPrefix(folder) }
}

func openFiles() -> [String] {
    let links = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
    return links.compactMap { try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)") }
}

func threads() -> [String] {
    let ids = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
    let names = ids.compactMap { try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8) }
    return names.filter { $0.hasPrefix("chasqui-") }
}

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
        #expect(offline?.code == "offline" && offline?.isRetryable == true)
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
        try await ana.close()
        let error = await refusal {
            try await within("the end") { for try await _ in observer {} }
        }
        #expect(error == .closed)
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

    @Test func whatIsClosedOrDroppedLeavesNothingBehind() async throws {
        let pair = try await Pair.meet()
        for device in [pair.ana, pair.bo] { try await device.client.close() }
        func openAndUse(close: Bool) async throws {
            let client = try await ChasquiClient.open(pair.ana.config)
            try await client.until(.online)
            let observer = try client.observeTimeline(pair.chat, limit: 10)
            var updates = observer.makeAsyncIterator()
            _ = try await updates.next()
            if close { try await client.close() }
        }
        /// What is dropped ends on threads of its own: waits for it, for as long as anybody would.
        func settles(_ what: String, _ isSo: @escaping @Sendable () -> Bool) async throws {
            try await within(what) { while !isSo() { try await Task.sleep(for: .milliseconds(5)) } }
        }
        let folder = pair.ana.config.folder
        try await openAndUse(close: true)
        try await settles("everything to be gone") { threads().isEmpty && openFiles(in: folder).isEmpty }
        let before = openFiles().count
        for round in 0..<20 {
            try await openAndUse(close: round % 2 == 0)
            try await settles("round \(round) to be gone") { threads().isEmpty && openFiles(in: folder).isEmpty }
        }
        try await settles("every socket to be gone") { openFiles().count <= before }
    }

    @Test func aNotificationShowsWhatWaitsAndTakesNothing() async throws {
        let pair = try await Pair.meet()
        try await pair.bo.client.suspend()
        let sent = try await pair.ana.client.sendText("are you there?", to: pair.chat)
        try await pair.ana.client.until(pair.chat, "sent") { $0.first?.state == .sent }
        for _ in 0..<2 {
            let peeked = try await ChasquiClient.peek(pair.bo.config, within: .seconds(20))
            #expect(peeked.messages.map(\.id) == [sent])
            #expect(peeked.messages.first?.senderName == "ana" && peeked.messages.first?.text == "are you there?")
            #expect(peeked.unread == 1 && !peeked.hasMore)
        }
        try await pair.bo.client.resume()
        try await pair.bo.client.gets("are you there?", in: pair.chat)
        try await pair.ana.client.until(pair.chat, "received") { $0.first?.state == .received }
        #expect(try await ChasquiClient.peek(pair.bo.config, within: .seconds(20)).messages.isEmpty)
        let late = await refusal {
            try await ChasquiClient.peek(pair.bo.config, within: .zero)
        }
        #expect(late?.code == "offline")
    }
}
