import Foundation

#if canImport(Glibc)
import Glibc
private let stream = Int32(SOCK_STREAM.rawValue)
#else
import Darwin
private let stream = SOCK_STREAM
#endif

/// A port that takes connections and never says a word.
final class Silent: Sendable {
    private let listener: Int32
    let port: UInt16

    struct Failed: Error {}

    init() throws {
        let listener = socket(AF_INET, stream, 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let opened = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, length) == 0 && listen(listener, 8) == 0
                    && getsockname(listener, address, &length) == 0
            }
        }
        guard opened else { throw Failed() }
        (self.listener, port) = (listener, UInt16(bigEndian: address.sin_port))
    }

    /// Returns once somebody connected; keeps the connection.
    func waitForKnock() {
        _ = accept(listener, nil, nil)
    }

    deinit { close(listener) }
}
