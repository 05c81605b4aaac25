package im.chasqui

import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds

/** When the same call is worth another try, if the node said so. */
public val ChasquiException.retryAfter: Duration?
    get() =
        when (this) {
            is ChasquiException.RateLimited -> retryAfterMs
            is ChasquiException.AttemptsExhausted -> retryAfterMs
            is ChasquiException.WaitingPeriod -> retryAfterMs
            else -> 0
        }.takeIf { it > 0 }?.milliseconds
