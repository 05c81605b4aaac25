package im.chasqui

import java.io.ByteArrayOutputStream
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Who people are, and what becomes of somebody who lost everything. */
class IdentityTest {
    @Test
    fun `both sides compare the same number`() = test {
        Pair.meet {
            val here = ana.client.safetyNumber(bo.user())
            val there = bo.client.safetyNumber(ana.user())
            assertEquals(here.digits, there.digits)
            assertEquals(List(12) { 5 }, here.digits.split(" ").map { it.length })
            assertEquals(Trust.UNVERIFIED to null, here.trust to here.changedAt)
            assertTrue(ana.client.verify(bo.user(), there.scannable))
            assertEquals(Trust.VERIFIED, ana.client.safetyNumber(bo.user()).trust)
            assertEquals(Trust.VERIFIED, ana.client.conversation(chat)!!.peerTrust)
            assertFalse(bo.client.verify(ana.user(), there.scannable), "of one's own")
            assertEquals(Trust.UNVERIFIED, bo.client.safetyNumber(ana.user()).trust)
            failure<ChasquiException.Invalid> { bo.client.verify(ana.user(), "https://example.org") }
            failure<ChasquiException.Invalid> { bo.client.safetyNumber(bo.user()) }
            ana.client.setVerified(bo.user(), false)
            assertEquals(Trust.UNVERIFIED, ana.client.conversation(chat)!!.peerTrust)
        }
    }

    @Test
    fun `a backup brings everything back on a new phone`() = test {
        Pair.meet {
            ana.client.sendText(chat, "before")
            bo.gets(chat, "before")
            bo.client.sendText(chat, "an answer")
            ana.gets(chat, "an answer")
            val number = bo.client.safetyNumber(ana.user()).digits
            val phrase = ChasquiClient.newRecoveryPhrase()
            val file = File(tempFolder(), "ana.backup")
            ana.client.backUp(file, phrase)
            assertFalse(file.readText(Charsets.ISO_8859_1).contains("an answer"), "sealed")
            failure<ChasquiException.WrongPhrase> { ana.client.backUp(file, "no phrase") }
            ana.client.close()

            val phone = Device.blank(node)
            failure<ChasquiException.NotEnrolled> { phone.client.backUp(ByteArrayOutputStream(), phrase) }
            val wrong = failure<ChasquiException.WrongPhrase> {
                phone.client.restore(file, ChasquiClient.newRecoveryPhrase())
            }
            assertEquals("wrong_phrase" to false, wrong.code to wrong.isRetryable)
            val cutOff = file.readBytes().let { it.copyOf(it.size - 1) }
            failure<ChasquiException.Invalid> { phone.client.restore(cutOff.inputStream(), phrase) }
            phone.client.restore(file, phrase)
            assertEquals(listOf("before", "an answer"), phone.texts(chat), "before anybody logged in")
            assertTrue(phone.client.login("ana", PASSWORD, "new phone").isLinked)
            phone.client.sendText(chat, "back")
            bo.gets(chat, "back")
            assertEquals(number, bo.client.safetyNumber(phone.user()).digits)
            assertEquals(emptyList<SecurityEvent>(), bo.client.securityEvents(limit = 10))
            phone.client.close()
            phone.folder.deleteRecursively()
            file.delete()
        }
    }

    @Test
    fun `who has lost everything makes a new identity, and whoever verified the old one is told`() = test {
        Pair.meet {
            val lost = ana.user()
            val before = ana.client.safetyNumber(bo.user())
            assertTrue(bo.client.verify(lost, before.scannable))
            ana.client.suspend()
            val phone = Device.loggedIn(node, "ana")
            failure<ChasquiException.NotLinked> { phone.client.safetyNumber(bo.user()) }
            failure<ChasquiException.ProofNeeded> { phone.client.resetIdentity(AccountProof.Password("wrong")) }
            phone.client.resetIdentity(AccountProof.Password(PASSWORD))
            assertTrue(phone.client.account()!!.isLinked)
            phone.client.sendText(phone.client.openDirect(bo.user()), "it is me")
            bo.gets(chat, "it is me")
            val event = bo.client.observeSecurityEvents().until("the change") { it.kind == SecurityEventKind.IDENTITY_CHANGED }
            assertEquals(lost to chat, event.user to event.conversation)
            assertEquals(listOf(event), bo.client.securityEvents(limit = 10, after = event.number - 1))
            assertEquals(Trust.CHANGED, bo.client.conversation(chat)!!.peerTrust)
            val after = bo.client.safetyNumber(lost)
            assertNotEquals(before.digits, after.digits)
            assertTrue(after.changedAt != null)
            bo.client.sendText(chat, "is it?")
            bo.client.setVerified(lost, false)
            phone.gets(chat, "is it?")
            phone.client.close()
            phone.folder.deleteRecursively()
        }
    }
}
