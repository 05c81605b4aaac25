package im.chasqui

import kotlin.time.Duration.Companion.milliseconds
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Errors are typed, carry what the core knows, and are the same in every language. */
class ErrorsTest {
    @Test
    fun `errors are typed, and say what an app can do`() = test {
        Pair.meet {
            val tooLarge = failure<ChasquiException.TooLarge> { ana.client.sendText(chat, "x".repeat(100_000)) }
            assertEquals("too_large", tooLarge.code)
            assertFalse(tooLarge.isRetryable)
            assertTrue(tooLarge.size >= 100_000 && tooLarge.limit in 60_000..70_000, "$tooLarge")

            val empty = failure<ChasquiException.Invalid> { ana.client.sendText(chat, "") }
            assertEquals("invalid", empty.code)

            val nobody = failure<ChasquiException.NotFound> { ana.client.findUser("nobody") }
            assertEquals("user", nobody.what)
            assertEquals("not_found: no such user", nobody.message)

            val taken = Device.blank(node)
            failure<ChasquiException.NameTaken> { taken.client.register("ana", PASSWORD, "phone") }
            failure<ChasquiException.Unauthorised> { taken.client.login("ana", "wrong password", "phone") }
            failure<ChasquiException.NotEnrolled> { taken.client.devices() }
            failure<ChasquiException.Incompatible> { taken.client.enrolWithToken("not.a.token", "phone") }
            failure<ChasquiException.Incompatible> { taken.client.requestCode("+51 984 123 456") }
            taken.client.close()

            failure<ChasquiException.AlreadyEnrolled> { ana.client.register("ana", PASSWORD, "phone") }
            node.stop()
            val offline = failure<ChasquiException.Offline> { ana.client.devices() }
            assertEquals("offline", offline.code)
            assertTrue(offline.isRetryable)
            assertEquals(null, offline.retryAfter)
            assertEquals(null, ChasquiException.RateLimited(0).retryAfter)
            assertEquals(1500.milliseconds, ChasquiException.WaitingPeriod(1500).retryAfter)
        }
    }

    @Test
    fun `what is no id and no count is refused as such`() = test {
        Pair.meet {
            failure<ChasquiException.Invalid> { ana.client.openDirect(UserId("bo")) }
            failure<ChasquiException.Invalid> { ana.client.sendText(ConversationId(""), "hello") }
            failure<ChasquiException.Invalid> { ana.client.markRead(chat, Seq(0)) }
            failure<ChasquiException.Invalid> { ana.client.timeline(chat, 10, Cursor("somewhere")) }
            failure<ChasquiException.Invalid> { ana.client.conversations(-1) }
            failure<ChasquiException.Invalid> { ana.client.observeTimeline(chat, -1).updates.collect {} }
            failure<ChasquiException.Invalid> { ana.client.observeSalvages(-1).collect {} }
            failure<ChasquiException.Invalid> { ana.client.observeSecurityEvents(-1).collect {} }
            failure<ChasquiException.Invalid> { ana.client.securityEvents(limit = 10, after = -1) }
            val unknown = ConversationId("0190f5f0-0000-7000-8000-000000000001")
            failure<ChasquiException.NotFound> { ana.client.sendText(unknown, "hello") }
        }
    }

    @Test
    fun `folders and addresses that cannot be used`() = test {
        val folder = tempFolder()
        failure<ChasquiException.Invalid> { ChasquiClient.open(Config(folder.path, "relay.example.org")) }
        failure<ChasquiException.Invalid> {
            ChasquiClient.open(Config(folder.path, "http://127.0.0.1:1", deviceBinding = ByteArray(16)))
        }
        val secret = ByteArray(32) { it.toByte() }
        ChasquiClient.open(Config(folder.path, "http://127.0.0.1:1", deviceBinding = secret)).close()
        val other = failure<ChasquiException.OtherDevice> { ChasquiClient.open(Config(folder.path, "http://127.0.0.1:1")) }
        assertEquals("other_device", other.code)
        val adopted = Config(folder.path, "http://127.0.0.1:1", deviceBinding = ByteArray(32), adoptCopy = true)
        ChasquiClient.open(adopted).close()
    }

    @Test
    fun `the realm is compared before anything is enrolled`() = test {
        Node.start().use { node ->
            val realm = RealmId("0190f5f0-0000-7000-8000-000000000001")
            ChasquiClient.open(Config(tempFolder().path, node.url, realm = realm)).use { client ->
                failure<ChasquiException.Incompatible> { client.register("ana", PASSWORD, "phone") }
            }
        }
    }
}
