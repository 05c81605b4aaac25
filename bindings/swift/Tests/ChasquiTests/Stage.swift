import Chasqui
import Foundation
import Testing

/// The real node as a process of its own. Keeps its folder and its port over a stop.
final class Node: @unchecked Sendable {
    let folder: URL
    private var arguments: [String]
    private var process: Process?
    private(set) var port = 0

    static let password = "correct horse"

    private init(folder: URL, arguments: [String]) {
        (self.folder, self.arguments) = (folder, arguments)
    }

    /// With more of a configuration file, if wanted.
    static func start(config: String? = nil) throws -> Node {
        let folder = try temporaryFolder()
        var arguments: [String] = []
        if let config {
            let file = folder.appendingPathComponent("node.toml")
            try Data(config.utf8).write(to: file)
            arguments = ["--config", file.path]
        }
        let node = Node(folder: folder, arguments: arguments)
        try node.start()
        return node
    }

    func start() throws {
        let program = try #require(ProcessInfo.processInfo.environment["CHASQUI_NODE"], "the path of chasqui-node")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = ["serve", "--data", folder.appendingPathComponent("data").path, "--log", "error",
                             "--listen", "127.0.0.1:\(port)"] + arguments
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        self.process = process
        var said = Data()
        while !said.contains(UInt8(ascii: "\n")) {
            let more = output.fileHandleForReading.availableData
            try #require(!more.isEmpty, "the node ended")
            said.append(more)
        }
        struct Listening: Decodable { let address: String }
        let listening = try JSONDecoder().decode(Listening.self, from: said.prefix { $0 != UInt8(ascii: "\n") })
        port = try #require(listening.address.split(separator: ":").last.flatMap { Int($0) })
    }

    func stop() {
        // Without a warning, as a crash: what Foundation starts from a thread of Dispatch has every other signal blocked.
        // Foundation's own wait would run the run loop of this thread.
        guard let process else { return }
        kill(process.processIdentifier, SIGKILL)
        while process.isRunning { usleep(2_000) }
        self.process = nil
    }

    deinit {
        stop()
        try? FileManager.default.removeItem(at: folder)
    }

    var url: String { "http://127.0.0.1:\(port)" }
}

/// Everything that the tests write; removed in the end.
private let scratch: URL = {
    atexit { try? FileManager.default.removeItem(at: scratch) }
    return FileManager.default.temporaryDirectory.appendingPathComponent("chasqui-\(UUID().uuidString)")
}()

func temporaryFolder() throws -> URL {
    let folder = scratch.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
}

/// A client and its folder.
final class Device: Sendable {
    let client: ChasquiClient
    let config: Config

    private init(client: ChasquiClient, config: Config) {
        (self.client, self.config) = (client, config)
    }

    /// Opened, nobody's yet.
    static func blank(_ node: Node) async throws -> Device {
        let config = Config(folder: try temporaryFolder().path, node: node.url)
        return Device(client: try await ChasquiClient.open(config), config: config)
    }

    static func registered(_ node: Node, _ name: String) async throws -> Device {
        let device = try await blank(node)
        try await device.client.register(name: name, password: Node.password, deviceName: "phone")
        return device
    }

    static func loggedIn(_ node: Node, _ name: String) async throws -> Device {
        let device = try await blank(node)
        try await device.client.login(name: name, password: Node.password, deviceName: "laptop")
        return device
    }

    /// As after an app was closed and started again.
    func reopened() async throws -> Device {
        try await client.close()
        return Device(client: try await ChasquiClient.open(config), config: config)
    }
}

/// Links `laptop` by `phone`, as people do.
func link(_ phone: Device, _ laptop: Device) async throws {
    let code = try await laptop.client.beginLinking()
    try await within("the link") {
        async let there = laptop.client.linkingNumber()
        let numbers = [try await phone.client.linkDevice(code: code), try await there]
        #expect(numbers[0] == numbers[1])
        async let confirmed: Void = laptop.client.confirmLinking()
        try await phone.client.confirmLinking()
        try await confirmed
    }
}

/// Ana and Bo, a phone each, and their conversation.
struct Pair {
    let node: Node
    let ana: Device
    let bo: Device
    let chat: ConversationId

    static func meet(_ protection: Protection = .endToEnd) async throws -> Pair {
        let node = try Node.start()
        let ana = try await Device.registered(node, "ana")
        let bo = try await Device.registered(node, "bo")
        let found = try await ana.client.findUser(name: "bo")
        return Pair(node: node, ana: ana, bo: bo, chat: try await ana.client.openDirectAs(protection, with: found.user))
    }
}

struct StillWaiting: Error, CustomStringConvertible {
    let what: String
    var description: String { "still waiting: \(what)" }
}

/// Waits, or says what for it waited in vain.
func within<T: Sendable>(
    _ what: String, _ wait: @escaping @Sendable () async throws -> T
) async throws -> T {
    try await withThrowingTaskGroup(of: T.self) { group in
        group.addTask(operation: wait)
        group.addTask {
            try await Task.sleep(for: .seconds(30))
            throw StillWaiting(what: what)
        }
        defer { group.cancelAll() }
        return try await group.next()!
    }
}

extension ChasquiClient {
    /// Waits until the messages are as wanted.
    @discardableResult
    func until(
        _ chat: ConversationId, _ what: String, _ isSo: @escaping @Sendable ([Message]) -> Bool
    ) async throws -> [Message] {
        try await within(what) {
            for try await lines in try self.observeTimeline(chat, limit: 1_000).lists {
                let messages = lines.compactMap(\.asMessage)
                if isSo(messages) { return messages }
            }
            throw StillWaiting(what: what)
        }
    }

    /// Waits until a text is there.
    @discardableResult
    func gets(_ text: String, in chat: ConversationId) async throws -> Message {
        let messages = try await until(chat, text) { $0.contains { $0.text == text } }
        return messages.first { $0.text == text }!
    }

    func untilListed(
        _ what: String, _ isSo: @escaping @Sendable ([ConversationSummary]) -> Bool
    ) async throws {
        try await within(what) {
            for try await lines in try self.observeConversations(limit: 100).lists where isSo(lines) { return }
        }
    }

    func until(_ wanted: ConnectionState) async throws {
        try await within("the connection to be \(wanted)") {
            for try await state in self.observeConnection() where state == wanted { return }
        }
    }

    func texts(_ chat: ConversationId) async throws -> [String] {
        try await timeline(chat, limit: 1_000).items.compactMap { $0.asMessage?.text }
    }
}

extension TimelineItem {
    var asMessage: Message? {
        if case .message(let message) = self { message } else { nil }
    }
}

extension Message {
    var text: String? {
        if case .text(let text) = content { text } else { nil }
    }
}

/// The error that work ends with.
func refusal<T>(_ work: () async throws -> T) async -> ChasquiError? {
    do {
        _ = try await work()
        Issue.record("it was not refused")
    } catch let error as ChasquiError {
        return error
    } catch {
        Issue.record("another error: \(error)")
    }
    return nil
}
