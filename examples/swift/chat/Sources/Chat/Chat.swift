import Chasqui
import Foundation

/// A chat for the console: one client, one conversation on the screen.
@main
struct Chat {
    static func main() async {
        let arguments = CommandLine.arguments.dropFirst()
        guard arguments.count == 4, let folder = arguments.first else {
            print("usage: Chat FOLDER NODE NAME PASSWORD")
            exit(2)
        }
        let given = Array(arguments)
        do {
            let client = try await ChasquiClient.open(Config(folder: folder, node: given[1]))
            try await enrol(client, name: given[2], password: given[3])
            try await Screen(client: client).run()
            try await client.close()
        } catch let error as ChasquiError {
            print("! \(error)")
            exit(1)
        } catch {
            print("! \(error)")
            exit(1)
        }
    }

    static func enrol(_ client: ChasquiClient, name: String, password: String) async throws {
        if let account = try await client.account() {
            print("Welcome back, \(account.name).")
            return
        }
        do {
            try await client.register(name: name, password: password, deviceName: "console")
            print("Welcome, \(name).")
        } catch ChasquiError.nameTaken {
            try await client.login(name: name, password: password, deviceName: "console")
            print("Welcome, \(name), on another device.")
        }
    }
}

/// What is shown, and what is typed.
actor Screen {
    let client: ChasquiClient
    var chat: ConversationId?
    var showing: Task<Void, Never>?

    init(client: ChasquiClient) {
        self.client = client
    }

    func run() async throws {
        let connection = Task {
            for try await state in client.observeConnection() { print("— \(state)") }
        }
        let security = Task {
            for try await event in try client.observeSecurityEvents() { print("— \(event.kind), \(event.at)") }
        }
        defer { connection.cancel(); security.cancel(); showing?.cancel() }
        for await line in typed() {
            do {
                if try await !obey(line) { return }
            } catch let error as ChasquiError {
                print("! \(error)")
            }
        }
    }

    /// Says whether to go on.
    func obey(_ line: String) async throws -> Bool {
        let words = line.split(separator: " ", maxSplits: 1).map(String.init)
        switch words.first {
        case nil:
            break
        case "/quit":
            return false
        case "/list":
            for line in try await client.conversations(limit: 20) {
                print("  \(line.peerName ?? "?"): \(line.unread) unread")
            }
        case "/search":
            for hit in try await client.search(words.dropFirst().first ?? "", limit: 10) {
                print("  \(shown(hit.message))")
            }
        case "/number":
            let peer = try await client.findUser(name: words.dropFirst().first ?? "")
            let number = try await client.safetyNumber(with: peer.user)
            print("  \(number.digits), \(number.trust)")
        case "/to":
            let peer = try await client.findUser(name: words.dropFirst().first ?? "")
            let chat = try await client.openDirect(with: peer.user)
            self.chat = chat
            show(chat)
        default:
            if let chat {
                try await client.sendText(line, to: chat)
            } else {
                print("! /to NAME first")
            }
        }
        return true
    }

    /// Prints each message of a conversation when it comes, and again when it got further.
    func show(_ chat: ConversationId) {
        showing?.cancel()
        showing = Task { [client] in
            var printed: [MessageId: String] = [:]
            do {
                for try await lines in try client.observeTimeline(chat, limit: 30).lists {
                    for case .message(let message) in lines {
                        let text = shown(message)
                        if printed.updateValue(text, forKey: message.id) != text { print(text) }
                    }
                    try await client.markRead(chat)
                }
            } catch is CancellationError {
            } catch {
                print("! \(error)")
            }
        }
    }
}

func shown(_ message: Message) -> String {
    let text = if case .text(let text) = message.content { text } else { "(something that this version cannot show)" }
    guard message.isOwn else { return "< \(text)" }
    let ticks = switch message.state {
    case .pending: "·"
    case .sent: "✓"
    case .received: "✓✓"
    case .read: "✓✓ read"
    case .undelivered: "✗ will not arrive"
    case .failed: "✗ failed"
    }
    return "> \(text)  \(ticks)"
}

/// Lines of the console, read on a thread that may block.
func typed() -> AsyncStream<String> {
    AsyncStream { lines in
        Thread.detachNewThread {
            while let line = readLine() { lines.yield(line) }
            lines.finish()
        }
    }
}
