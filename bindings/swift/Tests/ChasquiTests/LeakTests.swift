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

/// The library's threads in this process.
func threads() -> [String] {
    let ids = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
    let names = ids.compactMap { try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8) }
    return names.filter { $0.hasPrefix("chasqui-") }
}

/// However a client ends, its files, sockets and threads end with it: counted in this process.
@Suite struct Leaks {
    @Test func closedInALoop() async throws {
        try await leavesNothing(held: true) { client, chat in
            var updates = try client.observeTimeline(chat, limit: 10).makeAsyncIterator()
            _ = try await updates.next()
            try await client.close()
        }
    }

    @Test func droppedInALoop() async throws {
        try await leavesNothing { client, chat in
            var updates = try client.observeTimeline(chat, limit: 10).makeAsyncIterator()
            _ = try await updates.next()
        }
    }

    @Test func closedWhileObserversWait() async throws {
        try await leavesNothing(held: true) { client, chat in
            let (begun, begin) = AsyncStream.makeStream(of: Void.self)
            let lists = Task { for try await _ in try client.observeTimeline(chat, limit: 10) { begin.yield() } }
            let salvages = Task { for try await _ in try client.observeSalvages() {} }
            let events = Task { for try await _ in try client.observeSecurityEvents() {} }
            let transfer = Task { for try await _ in client.observeHistoryTransfer() {} }
            let typing = Task { for try await _ in client.observeTyping() {} }
            for await _ in begun { break }
            try await client.close()
            try await within("the observers to end") {
                for watching in [lists, salvages, events, transfer, typing] { try await watching.value }
            }
        }
    }

    @Test func observersThatAreCancelledLetGoOfTheClient() async throws {
        try await leavesNothing { client, chat in
            let (begun, begin) = AsyncStream.makeStream(of: Void.self)
            let lists = Task { for try await _ in try client.observeTimeline(chat, limit: 10) { begin.yield() } }
            for await _ in begun { break }
            lists.cancel()
            try await within("the observer to end") { try await lists.value }
        }
    }

    @Test func callsThatAreCancelled() async throws {
        // The port takes connections, and nobody answers.
        let silent = try Silent()
        let config = Config(folder: try temporaryFolder().path, node: "http://127.0.0.1:\(silent.port)")
        try await settles("what came before to end") { threads().isEmpty }
        do {
            let client = try await ChasquiClient.open(config)
            for _ in 0..<10 {
                let call = Task { try await client.login(name: "ana", password: Node.password, deviceName: "phone") }
                try await within("somebody to knock") { silent.waitForKnock() }
                call.cancel()
                await #expect(throws: CancellationError.self) { try await within("the end") { try await call.value } }
            }
            try await client.close()
        }
        try await settles("everything to be gone") { threads().isEmpty && openFiles(in: config.folder).isEmpty }
    }

    /// Counts before and after many times. What is `held` is freed by closing alone; the rest, when `once` has ended.
    private func leavesNothing(
        held: Bool = false, _ once: @escaping @Sendable (ChasquiClient, ConversationId) async throws -> Void
    ) async throws {
        let pair = try await Pair.meet()
        for device in [pair.ana, pair.bo] { try await device.client.close() }
        let config = pair.ana.config
        var kept: [ChasquiClient] = []
        func round() async throws {
            let client = try await ChasquiClient.open(config)
            if held { kept.append(client) }
            try await client.until(.online)
            try await once(client, pair.chat)
        }
        let isGone: @Sendable () -> Bool = { threads().isEmpty && openFiles(in: config.folder).isEmpty }
        try await round()
        try await settles("everything to be gone", isGone)
        let before = openFiles().count
        for number in 0..<10 {
            try await round()
            try await settles("round \(number) to be gone", isGone)
        }
        try await settles("every socket to be gone") { openFiles().count <= before }
        #expect(kept.count == (held ? 11 : 0))
    }

    /// What is dropped ends on threads of its own: waits for it, for as long as anybody would.
    private func settles(_ what: String, _ isSo: @escaping @Sendable () -> Bool) async throws {
        try await within(what) { while !isSo() { try await Task.sleep(for: .milliseconds(5)) } }
    }
}
