import Foundation

extension ChasquiError: LocalizedError {
    /// English, for developers; begins with ``code``. What people read is the app's to say.
    public var errorDescription: String? { description }
}

extension ChasquiError: CustomStringConvertible {}

extension ChasquiError {
    /// When the same call is worth another try, if the node said so.
    public var retryAfter: Duration? {
        switch self {
        case .rateLimited(let millis), .attemptsExhausted(let millis), .waitingPeriod(let millis):
            millis > 0 ? .milliseconds(millis) : nil
        default: nil
        }
    }
}
