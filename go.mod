module github.com/understudy-dev/understudy

go 1.26.0
