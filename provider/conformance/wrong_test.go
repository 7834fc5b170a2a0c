// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-dev/understudy/internal/testprovider/wrong"
)

// caught is, for each rule that the wrong provider can break, cases that notice it.
var caught = map[string][]string{
	wrong.SocketMode:   {"Socket/IsASocketOfMode0666"},
	wrong.BadName:      {"Info/NameIsADNSName"},
	wrong.LongVersion:  {"Info/VendorVersionIsShort"},
	wrong.NoVersion:    {"Info/SpeaksVersion1", "Info/AnswersAMonitorThatNamesNoVersion", "Info/AnswersANewerMonitor"},
	wrong.TwinTypes:    {"Info/TypesDifferNotOnlyByCase"},
	wrong.InfoChanges:  {"Info/IsTheSameEachTime"},
	wrong.StrictFields: {"Info/IgnoresUnknownFields"},
	wrong.EndsByItself: {"Info/AnswersANewerMonitor", "Process/DoesNotEndByItself"},

	wrong.StartupAnyType:    {"Startup/RefusesAnUnknownType", "Startup/RefusesAnEmptyType"},
	wrong.StartupAnyVersion: {"Startup/RefusesVersionsThatAreTooNew", "Startup/RefusesVersionsThatAreTooOld"},
	wrong.StartupCase:       {"Startup/ComparesTypesWithoutCase"},

	wrong.OpenAnyType:     {"Open/RefusesAnUnknownType"},
	wrong.OpenCase:        {"Open/ComparesTypesWithoutCase"},
	wrong.OpenEmptyHandle: {"Open/RefusesAnEmptyHandle"},
	wrong.OpenNewID:       {"Open/RepeatedAnswersTheSame", "Recover/OfWhatIsOnlineSaysOnline", "MonitorGone/OpenThenAnswersTheSame"},
	wrong.OpenSaysOnline:  {"Open/NewResourceIsOffline", "Recover/OfWhatIsNewOpensIt", "Close/ThenOpenIsNew"},
	wrong.OpenForgets:     {"Open/RepeatedWhileOnlineSaysWhatIsSo", "Recover/OfWhatIsOnlineSaysOnline"},
	wrong.OpenStops:       {"Recover/StopsNothing", "Recover/OfWhatIsOnlineSaysOnline", "MonitorGone/ManyTimes"},

	wrong.OnlineUnknown:       {"Online/RefusesAnUnknownResource", "Online/RefusesAClosedResource", "Input/OddIdsDoNoHarm", "Input/TheHandleIsNotTheId"},
	wrong.OnlineOnce:          {"Online/RepeatedWithSameArgumentsContinues", "Online/RepeatedDoesNotStartItTwice", "Recover/ThenOnlineContinues"},
	wrong.OnlineSilent:        {"Online/FailureIsSaidInASentence"},
	wrong.OnlineOldProperties: {"Online/ReadsThePropertiesOfTheCall", "Online/SucceedsOnceTheCauseIsGone"},
	wrong.OnlineLies:          {"Online/BringsItOnline"},
	wrong.OnlineAlwaysGood:    {"Online/FailsWithAStatus", "Online/FailsAgainAndAgain"},

	wrong.OfflineLies:      {"Offline/LeavesNothing", "Offline/AcceptsDueToEmbeddedFailure", "Several/OfflineEndsOne"},
	wrong.OfflineOnce:      {"Offline/RepeatedAnswersZero", "Offline/OfWhatWasNeverOnline"},
	wrong.TerminateLies:    {"Terminate/LeavesNothing", "Online/RepeatedDoesNotStartItTwice", "Several/TerminateEndsOne", "Recover/ThenTerminateLeavesNothing"},
	wrong.TerminateOnce:    {"Terminate/RepeatedAnswersZero", "Terminate/OfWhatWasNeverOnline", "Terminate/AfterOffline", "Terminate/TwiceAtOnce"},
	wrong.TerminateAll:     {"Several/TerminateEndsOne"},
	wrong.CloseLeaves:      {"Close/TerminatesFirst", "Close/ThenOpenIsNew", "Several/CloseEndsOne"},
	wrong.CloseOnce:        {"Close/RepeatedIsNoFailure"},
	wrong.AlwaysAlive:      {"IsAlive/IsFalseBeforeOnline", "IsAlive/NoticesAFailure", "Offline/LeavesNothing", "Terminate/LeavesNothing"},
	wrong.UnknownAlive:     {"IsAlive/OfAnUnknownResourceIsNotAlive", "LooksAlive/OfAnUnknownResourceIsNotAlive"},
	wrong.NeverLooksAlive:  {"LooksAlive/IsTrueWhileOnline"},
	wrong.SilentWhenFailed: {"IsAlive/SaysWhy"},

	wrong.FinalTwice:            {"Pending/OnlineEndsInOneReport"},
	wrong.NoFinal:               {"Pending/OnlineEndsInOneReport"},
	wrong.CheckPointStuck:       {"Pending/OnlineEndsInOneReport", "Callbacks/SetResourceStatus/CheckPointsGrow"},
	wrong.WrongHandle:           {"Online/BringsItOnline", "Callbacks/HandlesAreThoseOfOpen"},
	wrong.WrongPendingState:     {"Pending/OnlineEndsInOneReport", "Callbacks/SetResourceStatus/SaysWhatIsUnderWay"},
	wrong.ReportsAfterTerminate: {"Pending/NoReportAfterTerminate"},
	wrong.TerminateKeepsWorker:  {"Pending/OnlineIsEndedByTerminate"},
	wrong.Deaf:                  {"ExitState/TerminateEndsTheWork"},
	wrong.EndsOnOddAnswers:      {"ExitState/UnspecifiedMeansContinue", "ExitState/UnknownMeansContinue"},
	wrong.DropsReports:          {"MonitorGone/AnEndThatGotNoAnswerIsRepeated", "Failure/UnansweredIsRepeated", "Control/EndSurvivesTheMonitor", "Failure/SurvivesTheMonitor"},
	wrong.ReportsWithoutPending: {"Online/BringsItOnline", "Callbacks/SetResourceStatus/OnlyWhilePending"},
	wrong.PendingForgotten:      {"Pending/IsNotAProofOfLife", "Recover/OfWhatIsPendingSaysSo"},

	wrong.ControlAnyCode:         {"Control/UnknownCodeIsNotServed", "TypeControl/UnknownCodeIsNotServed", "AsUser/UnknownCodeIsNotServed"},
	wrong.ControlAnyResource:     {"Control/OfAnUnknownResourceIsRefused", "AsUser/OfAnUnknownResourceIsRefused"},
	wrong.ControlAnyType:         {"TypeControl/OfAnUnknownTypeIsRefused"},
	wrong.ControlEndsTwice:       {"Control/EndsExactlyOnce", "TypeControl/EndsExactlyOnce", "AsUser/EndsExactlyOnce", "Callbacks/EndControlCall/OnceAnswered", "Callbacks/EndTypeControlCall/OnceAnswered"},
	wrong.ControlWrongContext:    {"Control/AnswersWithItsOutput", "Callbacks/EndControlCall/OfACallThatIsOpen", "Callbacks/ExtendControlCall/OfACallThatIsOpen"},
	wrong.ControlOverflows:       {"Control/RespectsTheSizeOfTheOutput", "TypeControl/RespectsTheSizeOfTheOutput"},
	wrong.ControlBeginsTwice:     {"Control/RepeatedWhileOpenEndsOnce", "TypeControl/RepeatedWhileOpenEndsOnce"},
	wrong.ControlEndsAtOnceToo:   {"Control/EndsExactlyOnce"},
	wrong.ControlBytes:           {"Control/EndsExactlyOnce", "Callbacks/EndControlCall/OutputIsBounded"},
	wrong.TypeControlEndsWrongly: {"TypeControl/EndsByEndTypeControlCall"},
	wrong.BadProperties:          {"Control/BadPropertiesAreRefused"},

	wrong.CancelUnknown:  {"Cancel/OfAnUnknownResourceIsRefused"},
	wrong.CancelLies:     {"Cancel/OfAPendingOnline"},
	wrong.CancelEnds:     {"Cancel/OfNothingIsAnswered"},
	wrong.QuorumUnknown:  {"Quorum/OfAnUnknownResourceIsRefused"},
	wrong.QuorumOnce:     {"Quorum/ArbitrateMayBeRepeated"},
	wrong.ReleaseOnce:    {"Quorum/ReleaseMayBeRepeated"},
	wrong.LostAnytime:    {"Limits/AThousandChecks", "Callbacks/QuorumResourceLost/OnlyAfterArbitrate"},
	wrong.NoSignal:       {"Failure/IsSignalled"},
	wrong.SignalsTwice:   {"Failure/IsSignalled", "Callbacks/SignalFailure/OncePerFailure"},
	wrong.SignalsOffline: {"Failure/SaysNothingAfterOffline"},
	wrong.BadFailureType: {"Failure/IsSignalled", "Callbacks/SignalFailure/HasAKnownType"},
	wrong.LongMessage:    {"Online/FailureIsSaidInASentence", "Callbacks/MessagesAreBounded"},
	wrong.BadCallbacks: {
		"Limits/AThousandChecks", "Callbacks/LogEvent/HasAKnownLevel", "Callbacks/SetInternalState/HasAKnownState",
		"Callbacks/SetResourceInMemoryNodeLocalProperties/AreBounded", "Callbacks/SetResourceLockedModeEx/HasKnownFlags",
		"Callbacks/RaiseResTypeNotification/OfItsOwnTypeAndBounded", "Callbacks/ChangeResourceProcessForDumps/NamesAProcess",
		"Callbacks/ChangeResTypeProcessForDumps/NamesAProcess", "Callbacks/EnumResources/LeavesItselfOut",
	},
}

// silent are cases that bring about what others judge, and find nothing themselves.
var silent = map[string][]string{
	wrong.BadCallbacks: {"Limits/AThousandChecks"}, wrong.ReportsWithoutPending: {"Online/BringsItOnline"},
	wrong.LostAnytime: {"Limits/AThousandChecks"}, wrong.WrongHandle: {"Online/BringsItOnline"},
	wrong.SignalsTwice: {"Failure/IsSignalled"}, wrong.BadFailureType: {"Failure/IsSignalled"},
	wrong.ControlBytes:    {"Control/EndsExactlyOnce"},
	wrong.CheckPointStuck: {"Pending/OnlineEndsInOneReport"}, wrong.WrongPendingState: {"Pending/OnlineEndsInOneReport"},
}

// slow are breaks that show only after a while.
var slow = []string{wrong.TerminateKeepsWorker, wrong.ReportsAfterTerminate, wrong.CancelLies, wrong.Deaf}

// TestEachBreakIsCaught: whatever one rule the wrong provider breaks, the cases that are
// about it fail.
func TestEachBreakIsCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("make test-unit runs it without -short")
	}
	for rule, names := range caught {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			want := slices.DeleteFunc(slices.Sorted(slices.Values(names)), func(n string) bool {
				return slices.Contains(silent[rule], n)
			})
			c := configOf(names, rule)
			if slices.Contains(slow, rule) {
				c.Limits.QuietMilliseconds = 500
			}
			if diff := cmp.Diff(want, failures(t, c)); diff != "" {
				t.Errorf("cases that failed (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWrong: a provider that breaks many rules at once fails exactly these cases.
func TestWrong(t *testing.T) {
	if testing.Short() {
		t.Skip("make test-unit runs it without -short")
	}
	t.Parallel()
	breaks := []string{
		wrong.SocketMode, wrong.LongVersion, wrong.StrictFields, wrong.StartupAnyType, wrong.StartupCase,
		wrong.OpenAnyType, wrong.OpenEmptyHandle, wrong.OnlineUnknown, wrong.OnlineSilent, wrong.CloseOnce,
		wrong.UnknownAlive, wrong.SilentWhenFailed, wrong.WrongPendingState, wrong.PendingForgotten,
		wrong.ControlAnyCode, wrong.ControlAnyResource, wrong.ControlEndsTwice, wrong.ControlOverflows,
		wrong.TypeControlEndsWrongly, wrong.BadProperties, wrong.CancelUnknown, wrong.QuorumUnknown, wrong.ReleaseOnce,
		wrong.LostAnytime, wrong.SignalsTwice, wrong.BadFailureType, wrong.BadCallbacks, wrong.LongMessage,
	}
	want := []string{
		"AsUser/EndsExactlyOnce",
		"AsUser/OfAnUnknownResourceIsRefused",
		"AsUser/UnknownCodeIsNotServed",
		"Callbacks/ChangeResTypeProcessForDumps/NamesAProcess",
		"Callbacks/ChangeResourceProcessForDumps/NamesAProcess",
		"Callbacks/EndControlCall/OfACallThatIsOpen",
		"Callbacks/EndControlCall/OnceAnswered",
		"Callbacks/EnumResources/LeavesItselfOut",
		"Callbacks/ExtendControlCall/OfACallThatIsOpen",
		"Callbacks/LogEvent/HasAKnownLevel",
		"Callbacks/MessagesAreBounded",
		"Callbacks/QuorumResourceLost/OnlyAfterArbitrate",
		"Callbacks/RaiseResTypeNotification/OfItsOwnTypeAndBounded",
		"Callbacks/SetInternalState/HasAKnownState",
		"Callbacks/SetResourceInMemoryNodeLocalProperties/AreBounded",
		"Callbacks/SetResourceLockedModeEx/HasKnownFlags",
		"Callbacks/SetResourceStatus/SaysWhatIsUnderWay",
		"Callbacks/SignalFailure/HasAKnownType",
		"Callbacks/SignalFailure/OncePerFailure",
		"Cancel/OfAnUnknownResourceIsRefused",
		"Close/RepeatedIsNoFailure",
		"Close/TerminatesFirst",
		"Control/BadPropertiesAreRefused",
		"Control/EndsExactlyOnce",
		"Control/OfAnUnknownResourceIsRefused",
		"Control/RepeatedWhileOpenEndsOnce",
		"Control/RespectsTheSizeOfTheOutput",
		"Control/UnknownCodeIsNotServed",
		"Info/IgnoresUnknownFields",
		"Info/VendorVersionIsShort",
		"Input/OddIdsDoNoHarm",
		"Input/TheHandleIsNotTheId",
		"IsAlive/OfAnUnknownResourceIsNotAlive",
		"IsAlive/SaysWhy",
		"LooksAlive/OfAnUnknownResourceIsNotAlive",
		"Online/FailureIsSaidInASentence",
		"Online/RefusesAClosedResource",
		"Online/RefusesAnUnknownResource",
		"Open/RefusesAnEmptyHandle",
		"Open/RefusesAnUnknownType",
		"Pending/IsNotAProofOfLife",
		"Pending/OnlineIsEndedByClose",
		"Quorum/OfAnUnknownResourceIsRefused",
		"Quorum/ReleaseMayBeRepeated",
		"Recover/OfWhatIsPendingSaysSo",
		"Several/CloseEndsOne",
		"Socket/IsASocketOfMode0666",
		"Startup/RefusesAnEmptyType",
		"Startup/RefusesAnUnknownType",
		"TypeControl/EndsByEndTypeControlCall",
		"TypeControl/EndsExactlyOnce",
		"TypeControl/RepeatedWhileOpenEndsOnce",
		"TypeControl/RespectsTheSizeOfTheOutput",
		"TypeControl/UnknownCodeIsNotServed",
	}
	c := configOf(nil, breaks...)
	c.Limits.PendingMilliseconds = 20_000
	if diff := cmp.Diff(want, failures(t, c)); diff != "" {
		t.Errorf("cases that failed (-want +got):\n%s", diff)
	}
}

// TestProcess: cases that end the provider and start it again, and what they notice.
func TestProcess(t *testing.T) {
	t.Parallel()
	c := configOf(nil)
	c.Run = regexp.MustCompile("^(Process|Socket)/")
	c.Limits.PendingMilliseconds = 20_000
	if got := failures(t, inProcess(t, c)); len(got) > 0 {
		t.Errorf("nothing is broken, but these failed: %v", got)
	}
	want := []string{"Process/ListensAgainAfterACrash", "Socket/IsASocketOfMode0666"}
	if diff := cmp.Diff(want, failures(t, inProcess(t, c, wrong.SocketMode))); diff != "" {
		t.Errorf("cases that failed (-want +got):\n%s", diff)
	}
}
