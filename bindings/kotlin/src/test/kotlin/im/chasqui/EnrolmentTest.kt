package im.chasqui

import com.sun.net.httpserver.HttpServer
import java.io.File
import java.net.InetAddress
import java.net.InetSocketAddress
import java.util.Base64
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import javax.crypto.Mac
import javax.crypto.spec.SecretKeySpec
import kotlin.time.Clock
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Enrolment by the word of the app's backend, and by a code to a telephone. */
class EnrolmentTest {
    @Test
    fun `enrol with a token`() = test {
        val secret = ByteArray(32) { it.toByte() }
        val file = File(tempFolder(), "secret").apply { writeBytes(secret) }
        val config =
            """
            [jwt]
            issuer = "https://app.example"
            audience = "chasqui"
            algorithms = ["HS256"]
            secret_file = "${file.path}"
            name_claim = "sub"
            """
        Node.start(config.trimIndent()).use { node ->
            val ana = Device.blank(node)
            failure<ChasquiException.InvalidToken> { ana.client.enrolWithToken("not.a.token", "phone") }
            val forged = token("ana", ByteArray(32))
            failure<ChasquiException.InvalidToken> { ana.client.enrolWithToken(forged, "phone") }
            val account = ana.client.enrolWithToken(token("ana", secret), "phone")
            assertEquals("ana", account.name)
            val laptop = Device.blank(node)
            assertEquals(account.user, laptop.client.enrolWithToken(token("ana", secret), "laptop").user)
            assertEquals(listOf("phone", "laptop"), ana.client.devices().map { it.name })
            ana.client.close()
            laptop.client.close()
        }
        file.delete()
    }

    @Test
    fun `enrol with a code, and a further device with the PIN`() = test {
        val asked = LinkedBlockingQueue<String>()
        val gateway = HttpServer.create(InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0)
        gateway.createContext("/") { exchange ->
            asked.put(exchange.requestBody.readBytes().decodeToString())
            exchange.sendResponseHeaders(200, -1)
            exchange.close()
        }
        gateway.start()
        val secret = File(tempFolder(), "secret").apply { writeText("the gateway's own, 32 bytes or more") }
        val config =
            """
            [phone]
            sender = "webhook"
            webhook_url = "http://127.0.0.1:${gateway.address.port}/"
            secret_file = "${secret.path}"
            resend_seconds = 0
            """
        fun code(): String {
            val request = checkNotNull(asked.poll(30, TimeUnit.SECONDS)) { "the gateway was not asked" }
            return checkNotNull(Regex("\"code\":\"(\\d+)\"").find(request)) { request }.groupValues[1]
        }
        Node.start(config.trimIndent()).use { node ->
            val phone = "+51 984 123 456"
            val ana = Device.blank(node)
            failure<ChasquiException.Invalid> { ana.client.requestCode("no number") }
            val challenge = ana.client.requestCode(phone)
            assertTrue(challenge.expiresInMs > 0, "$challenge")
            val code = code()
            val wrong = code.map { if (it == '9') '0' else it + 1 }.joinToString("")
            failure<ChasquiException.InvalidCode> { ana.client.enrolWithCode(challenge.id, wrong, "phone") }
            val account = ana.client.enrolWithCode(challenge.id, code, "phone")
            ana.client.setPin("1234")

            val laptop = Device.blank(node)
            val second = laptop.client.requestCode(phone)
            val secondCode = code()
            failure<ChasquiException.PinNeeded> { laptop.client.enrolWithCode(second.id, secondCode, "laptop") }
            failure<ChasquiException.WaitingPeriod> {
                laptop.client.replaceAccountWithCode(second.id, secondCode, "laptop")
            }
            failure<ChasquiException.WrongPin> {
                laptop.client.enrolWithCode(second.id, secondCode, "laptop", pin = "4321")
            }
            val joined = laptop.client.enrolWithCode(second.id, secondCode, "laptop", pin = "1234")
            assertEquals(account.user, joined.user)
            ana.client.close()
            laptop.client.close()
        }
        gateway.stop(0)
        secret.delete()
    }

    /** As an app's backend makes it (RFC 7519). */
    private fun token(subject: String, secret: ByteArray): String {
        val encoder = Base64.getUrlEncoder().withoutPadding()
        val now = Clock.System.now().epochSeconds
        val header = """{"alg":"HS256","typ":"JWT"}"""
        val claims =
            """{"iss":"https://app.example","aud":"chasqui","sub":"$subject","iat":$now,"exp":${now + 300}}"""
        val signed = listOf(header, claims).joinToString(".") { encoder.encodeToString(it.toByteArray()) }
        val mac = Mac.getInstance("HmacSHA256").apply { init(SecretKeySpec(secret, "HmacSHA256")) }
        return signed + "." + encoder.encodeToString(mac.doFinal(signed.toByteArray()))
    }
}
