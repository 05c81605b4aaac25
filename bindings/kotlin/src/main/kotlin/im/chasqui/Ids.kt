package im.chasqui

import java.util.UUID

/**
 * The app that a node or cluster serves.
 *
 * @property value A UUID. A text that is none is refused where the id is used, with [ChasquiException.Invalid].
 */
@JvmInline
public value class RealmId(public val value: String) {
    override fun toString(): String = value
}

/**
 * A person's account.
 *
 * @property value A UUID. A text that is none is refused where the id is used, with [ChasquiException.Invalid].
 */
@JvmInline
public value class UserId(public val value: String) {
    override fun toString(): String = value
}

/**
 * One installation of the app, with a mailbox and a signing key of its own.
 *
 * @property value A UUID. A text that is none is refused where the id is used, with [ChasquiException.Invalid].
 */
@JvmInline
public value class DeviceId(public val value: String) {
    override fun toString(): String = value
}

/**
 * A direct conversation, a group or a channel.
 *
 * @property value A UUID. A text that is none is refused where the id is used, with [ChasquiException.Invalid].
 */
@JvmInline
public value class ConversationId(public val value: String) {
    override fun toString(): String = value
}

/**
 * A message.
 *
 * @property value A UUID, made by the device that sends it. A text that is none is refused where the id is used, with
 *   [ChasquiException.Invalid].
 */
@JvmInline
public value class MessageId(public val value: String) {
    override fun toString(): String = value

    public companion object {
        /** A new one (UUIDv7), for [ChasquiClient.sendTextAs]. */
        public fun random(): MessageId {
            val random = UUID.randomUUID()
            val version = 0x7000L or (random.mostSignificantBits and 0x0FFF)
            val time = System.currentTimeMillis() shl 16
            return MessageId(UUID(time or version, random.leastSignificantBits).toString())
        }
    }
}

/**
 * A place in a timeline; stays valid while messages come and go.
 *
 * @property value Opaque. It can be kept, for the folder that it came from.
 */
@JvmInline
public value class Cursor(public val value: String) {
    override fun toString(): String = value
}

/**
 * A message's position in its conversation: the order of the history on every device.
 *
 * @property raw Grows within a conversation. Below 2^53.
 */
@JvmInline
public value class Seq(public val raw: Long) : Comparable<Seq> {
    override fun compareTo(other: Seq): Int = raw.compareTo(other.raw)

    override fun toString(): String = raw.toString()
}
